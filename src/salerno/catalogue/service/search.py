"""Search over descriptions, in the process: an index of words that follows the store.

One thousand data sets with a hundred variables each have a few hundred thousand words but few thousand
different ones, so the index keeps, per word, the data sets that have it and how much it counts there.
Where in a data set it stands is looked up for the hits alone.
"""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from salerno.catalogue.model import DatasetDescription, SearchHit
from salerno.kernel.codes import COUNTRIES, DataCategory
from salerno.kernel.errors import Invalid, near

MAX_MATCHES = 3
"""Places that a hit names per word of the question."""

MAX_LEVELS = 200
"""Values of one categorical variable that are searched."""

STOP_WORDS = frozenset(
    ("a", "about", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with")
)
"""Words of a question that say nothing about a data set; left out when others remain."""

_NOT_DECOMPOSED = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t",
})  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-zà-ÿ0-9])(?=[A-ZÀ-Þ])")
_WORD = re.compile(r"\w+")


class Entry(Protocol):
    """What the index needs of a store's entry."""

    @property
    def iri(self) -> str:
        """The data set."""

    @property
    def digest(self) -> str:
        """Digest of its description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a hit must be, besides having the words."""

    category: DataCategory | None = None
    country: str = ""
    variable: str = ""

    @classmethod
    def read(cls, *, category: str | None, country: str | None, variable: str | None) -> Filters:
        """Check the filters that a person gave.

        Raises:
            Invalid: There is no such category or country.
        """
        chosen = None
        if category:
            code = category.strip().upper()
            chosen = next((c for c in DataCategory if code in (c.value, c.letter.upper())), None)
            if chosen is None:
                raise Invalid(
                    "no-such-category",
                    f"{category!r} is no category of electronic health data",
                    rule="EHDS Art. 51(1)",
                    remedy=near(category, [c.value for c in DataCategory]),
                )
        place = (country or "").strip()
        names = {fold(name): code for code, name in COUNTRIES.items()}
        place = names.get(fold(place), place.upper())
        if place and place not in COUNTRIES:
            raise Invalid(
                "no-such-country",
                f"{country!r} is no Member State",
                remedy=near(place, COUNTRIES),
            )
        return cls(category=chosen, country=place, variable=fold((variable or "").strip()))

    def admit(self, d: DatasetDescription) -> bool:
        """Whether a description passes."""
        if self.category is not None and self.category not in d.categories:
            return False
        if self.country and d.holder.country != self.country:
            return False
        return not self.variable or any(
            fold(variable.name) == self.variable for table in d.tables for variable in table.variables
        )


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """The text without case and accents."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_NOT_DECOMPOSED))
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold()


@lru_cache(maxsize=65536)
def forms_of(word: str) -> tuple[str, ...]:
    """A word folded; of ``drug_concept_id`` and ``drugConceptId`` also the parts."""
    parts = [part for half in word.split("_") for part in _CAMEL.split(half) if part]
    forms = [fold(word)] if len(parts) < 2 else [fold(word), *map(fold, parts)]
    return tuple(dict.fromkeys(form for form in forms if form.strip("_")))


@lru_cache(maxsize=65536)
def words_of(text: str) -> frozenset[str]:
    """The different words of a text, in all their forms."""
    return frozenset(form for word in _WORD.findall(text) for form in forms_of(word))


def places_of(d: DatasetDescription) -> Iterator[tuple[float, str, str]]:
    """Every searched text of a description: how much a word counts there, the text, the place in words."""
    yield 8.0, d.title, "title"
    for word in d.keywords:
        yield 5.0, word, f"keyword {word!r}"
    yield 5.0, d.identifier, f"identifier {d.identifier!r}"
    yield 3.0, d.holder.name, f"holder {d.holder.name!r}"
    country = COUNTRIES.get(d.holder.country, "")
    yield 3.0, f"{country} {d.holder.country}", f"country {country}"
    for category in d.categories:
        yield 3.0, f"{category.label} {category.value}", f"category {category.label!r}"
    yield 2.0, d.description, "description"
    yield 1.5, d.population_coverage, "population coverage"
    yield 1.0, d.provenance, "provenance"
    for table in d.tables:
        yield 3.0, f"{table.name} {table.title}", f"table {table.name}"
        yield 1.5, table.description, f"description of table {table.name}"
        for variable in table.variables:
            place = f"variable {variable.name!r} of table {table.name}"
            yield 4.0, variable.name, place
            yield 3.0, variable.title, f"title of {place}"
            yield 1.5, variable.description, f"description of {place}"
            for level in variable.levels[:MAX_LEVELS]:
                yield 1.0, level, f"value {level!r} of {place}"


class _Indexed:
    """One description, split into words.

    Args:
        digest: Digest of the description.
        description: As stored.
        vocabulary: Numbers of all words that the index ever met; grows.
    """

    __slots__ = ("description", "digest", "numbers", "places", "weights")

    def __init__(self, digest: str, description: DatasetDescription, vocabulary: dict[str, int]) -> None:
        self.digest = digest
        self.description = description
        self.places: dict[str, tuple[int, ...]] = {}
        """By word: numbers of its weightiest places, in the order of `places_of`."""
        found: dict[str, list[tuple[float, int]]] = {}
        for number, (weight, text, _) in enumerate(places_of(description)):
            place = (-weight, number)
            for word in words_of(text):
                found.setdefault(word, []).append(place)
        weights: list[float] = []
        for word, places in found.items():
            times = len(places)
            if times == 1:
                [(heaviest, number)] = places
                self.places[word] = (number,)
                weights.append(-heaviest)
            else:
                places.sort()
                self.places[word] = tuple([number for _, number in places[:MAX_MATCHES]])
                # The best place counts, and each further one a little.
                weights.append(0.2 * math.log(times) - places[0][0])
        self.weights = np.array(weights)
        self.numbers = np.array(
            [vocabulary.setdefault(word, len(vocabulary)) for word in found], dtype=np.int64
        )


class SearchIndex:
    """Keeps the newest snapshot; only changed descriptions are read and split again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, _Indexed] = {}
        self._vocabulary: dict[str, int] = {}
        self._snapshot = Snapshot((), {})
        self._stamp: str | None = None

    def snapshot(
        self,
        stamp: str,
        listing: Callable[[], Sequence[Entry]],
        load: Callable[[Iterable[str]], list[DatasetDescription]],
    ) -> Snapshot:
        """The snapshot of a stamp.

        Args:
            stamp: The store's; an equal one means equal content.
            listing: All data sets of the store with their digests.
            load: Reads descriptions.
        """
        with self._lock:
            if stamp != self._stamp:
                entries = {entry.iri: entry.digest for entry in listing()}
                known = {iri: k for iri, k in self._known.items() if entries.get(iri) == k.digest}
                for d in load([iri for iri in entries if iri not in known]):
                    known[d.iri] = _Indexed(entries[d.iri], d, self._vocabulary)
                self._known = known
                self._snapshot = Snapshot(tuple(known[iri] for iri in sorted(known)), self._vocabulary)
                self._stamp = stamp
            return self._snapshot


@dataclass(frozen=True, slots=True)
class _Found:
    """What one word of the question led to: score by data set, and the words that it stood for."""

    asked: str
    scores: NDArray[np.float64]
    words: frozenset[str]
    is_near: bool


class Snapshot:
    """An index that does not change any more.

    Args:
        indexed: Descriptions by IRI.
        vocabulary: Number of each word that they use, and maybe of others.
    """

    def __init__(self, indexed: Sequence[_Indexed], vocabulary: dict[str, int]) -> None:
        self.descriptions = tuple(each.description for each in indexed)
        self._indexed = indexed
        numbers = np.concatenate([np.empty(0, np.int64), *(each.numbers for each in indexed)])
        weights = np.concatenate([np.empty(0), *(each.weights for each in indexed)])
        owners = np.repeat(np.arange(len(indexed)), [each.numbers.size for each in indexed])
        order = np.argsort(numbers, kind="stable")
        self._weights, self._owners = weights[order], owners[order]
        counts = np.bincount(numbers, minlength=len(vocabulary))
        starts = np.concatenate([[0], np.cumsum(counts)])
        used = sorted(word for word, number in vocabulary.items() if counts[number])
        self._words = used
        self._spans = [(int(starts[n]), int(starts[n + 1])) for n in (vocabulary[word] for word in used)]
        self._letters = np.fromiter(map(_letters, used), dtype=np.uint64, count=len(used))
        self._lengths = np.fromiter(map(len, used), dtype=np.int64, count=len(used))

    def search(self, text: str, filters: Filters, limit: int) -> list[SearchHit]:
        """The hits of a question; see `Catalogue.search`."""
        limit = max(0, limit)
        admitted = [n for n, d in enumerate(self.descriptions) if filters.admit(d)]
        asked = self._question(text)
        if not asked:
            admitted.sort(key=lambda n: (fold(self.descriptions[n].title), self.descriptions[n].iri))
            return [SearchHit(dataset=self.descriptions[n], score=0.0) for n in admitted[:limit]]
        found = [self._find(word) for word in asked]
        total = np.sum([each.scores for each in found], axis=0)
        everywhere = np.all([each.scores > 0 for each in found], axis=0)
        hits = [n for n in admitted if everywhere[n]]
        hits.sort(key=lambda n: (-total[n], fold(self.descriptions[n].title), self.descriptions[n].iri))
        return [
            SearchHit(
                dataset=self.descriptions[n],
                score=round(float(total[n]), 4),
                matches=self._matches(n, found),
            )
            for n in hits[:limit]
        ]

    def _question(self, text: str) -> list[str]:
        """Words to look for: compound names as a whole when some data set has them, else their parts."""
        asked: dict[str, None] = {}
        for raw in _WORD.findall(text):
            word = fold(raw)
            if not word.strip("_"):
                continue
            if "_" in word and not self._range(word):
                asked.update(dict.fromkeys(forms_of(raw)[1:]))
            else:
                asked[word] = None
        telling = [word for word in asked if word not in STOP_WORDS]
        return telling or list(asked)

    def _range(self, prefix: str) -> range:
        first = bisect_left(self._words, prefix)
        return range(first, bisect_left(self._words, prefix + "\U0010ffff", lo=first))

    def _find(self, asked: str) -> _Found:
        chosen: list[tuple[int, float]] = []
        for number in self._range(asked):
            word = self._words[number]
            chosen.append((number, 1.0 if word == asked else 0.5 + 0.3 * len(asked) / len(word)))
        is_near = not chosen
        if is_near:
            chosen = [(number, 0.4 / distance) for number, distance in self._near(asked)]
        scores = np.zeros(len(self.descriptions))
        for number, quality in chosen:
            first, end = self._spans[number]
            where = self._owners[first:end]
            scores[where] = np.maximum(scores[where], self._weights[first:end] * quality)
        n_found = int(np.count_nonzero(scores))
        rarity = math.log(1 + len(self.descriptions) / n_found) if n_found else 0.0
        return _Found(asked, scores * rarity, frozenset(self._words[n] for n, _ in chosen), is_near)

    def _near(self, asked: str) -> list[tuple[int, int]]:
        """Known words that differ in one place (two from eight letters on), with how many."""
        if len(asked) < 4 or not self._words:
            return []
        most = 1 if len(asked) < 8 else 2
        # An edit changes at most two letters of the set that a word has, which rules nearly all words out.
        differs = np.bitwise_count(self._letters ^ np.uint64(_letters(asked)))
        likely = np.flatnonzero((differs <= 2 * most) & (np.abs(self._lengths - len(asked)) <= most))
        distances = ((int(n), _distance(asked, self._words[n], most)) for n in likely)
        found = [(n, d) for n, d in distances if d <= most]
        closest = min((d for _, d in found), default=0)
        return [(n, d) for n, d in found if d == closest]

    def _matches(self, number: int, found: Sequence[_Found]) -> tuple[str, ...]:
        """Where the words stand in one data set: word by word, the weightiest places first."""
        each = self._indexed[number]
        found_at: list[dict[int, str]] = []
        for f in found:
            # Ask the smaller side: a beginning of one letter stands for thousands of words.
            few = (word for word in f.words if word in each.places)
            if len(f.words) > len(each.places):
                few = (word for word in each.places if word in f.words)
            at: dict[int, str] = {}
            for word in few:
                for place in each.places[word]:
                    if at.get(place) != f.asked:
                        at[place] = word
            found_at.append(at)
        needed = set().union(*found_at)
        places = {n: place for n, place in enumerate(places_of(each.description)) if n in needed}
        told: dict[str, None] = {}
        for f, at in zip(found, found_at, strict=True):
            weightiest = sorted(at, key=lambda n: (-places[n][0] - (at[n] == f.asked) / 2, n))
            for n in weightiest[:MAX_MATCHES]:
                note = f" ({f.asked!r} was read as {at[n]!r})" if f.is_near else ""
                told[places[n][2] + note] = None
        return tuple(told)


def _letters(word: str) -> int:
    """The set of letters of a word, as bits."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) % 64)
    return bits


def _distance(one: str, other: str, most: int) -> int:
    """Edits (insert, drop, change, swap neighbours) from one word to the other; `most` + 1 when more."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, target in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != target))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == target:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
