"""Search: every word somewhere, the best first, and where it was found."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.catalogue.model import DatasetDescription, Datatype, SearchHit, TableDescription, Variable
from salerno.catalogue.service import StoredDataset
from salerno.catalogue.service.search import (
    Filters,
    SearchIndex,
    Snapshot,
    _distance,
    fold,
    forms_of,
    words_of,
)
from salerno.kernel.codes import DataCategory
from salerno.kernel.errors import Invalid
from salerno.kernel.values import digest
from tests.unit.catalogue.world import FINLAND, LYON, agent, description

LYON_SET = description()
HELSINKI = description(
    iri="urn:x:helsinki",
    identifier="hki",
    title="Prescriptions of Uusimaa",
    description="Dispensed medicines, also diclofenac.",
    holder=replace(agent(LYON), iri="did:web:hki.example", name="Helsinki Hospital", country="FI"),
    access_body=agent(FINLAND),
    categories=(DataCategory.HRAD,),
    keywords=("prescription",),
    provenance="Pharmacies.",
    population_coverage="",
    tables=(
        TableDescription(
            name="dispensed",
            variables=(
                Variable(name="atcCode", datatype=Datatype.STRING, levels=("M01AB05", "Lääke")),
                Variable(name="zip", datatype=Datatype.STRING, description="Where the person lives."),
            ),
        ),
    ),
)


def index_of(*descriptions: DatasetDescription) -> Snapshot:
    by_iri = {d.iri: d for d in descriptions}
    listing = [StoredDataset(iri=iri, source="s", digest=digest(d)) for iri, d in sorted(by_iri.items())]
    return SearchIndex().snapshot("1", lambda: listing, lambda iris: [by_iri[iri] for iri in iris])


def search(text: str, **filters: str) -> list[SearchHit]:
    chosen = {"category": None, "country": None, "variable": None, **filters}
    return index_of(LYON_SET, HELSINKI).search(text, Filters.read(**chosen), 50)


def found(text: str, **filters: str) -> list[str]:
    return [hit.dataset.identifier for hit in search(text, **filters)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bleeding", ["bleeding"]),
        ("BLEED", ["bleeding"]),
        ("Lyon bleeding", ["bleeding"]),
        ("hopital", ["bleeding"]),
        ("Hôpital", ["bleeding"]),
        ("laake", ["hki"]),
        ("lääke", ["hki"]),
        ("finland", ["hki"]),
        ("france celecoxib", ["bleeding"]),
        ("drug_concept_id", ["bleeding"]),
        ("concept ingredient", ["bleeding"]),
        ("atc", ["hki"]),
        ("code dispensed", ["hki"]),
        ("dispensation claims", ["hki", "bleeding"]),
        ("records", ["bleeding"]),
        ("the data of the person", ["bleeding", "hki"]),
        ("bleeding finland", []),
        ("xylophone", []),
        ("!!", ["bleeding", "hki"]),
        ("", ["bleeding", "hki"]),
    ],
)
def test_every_word_is_found_somewhere(text: str, expected: list[str]) -> None:
    assert sorted(found(text)) == sorted(expected)


def test_a_hit_says_where_each_word_was_found() -> None:
    [hit] = search("drug_concept_id celecoxib")
    assert "variable 'drug_concept_id' of table drug_era" in hit.matches
    assert "keyword 'celecoxib'" in hit.matches
    [hit] = search("m01ab05")
    assert hit.matches == ("value 'M01AB05' of variable 'atcCode' of table dispensed",)
    [hit] = search("ingredient")
    assert hit.matches == ("description of variable 'drug_concept_id' of table drug_era",)


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ("celecoxbi", "celecoxib"),
        ("bleding", "bleeding"),
        ("prescripton", "prescription"),
        ("Helsnki", "helsinki"),
    ],
)
def test_a_misspelt_word_is_read_as_the_nearest_and_the_hit_says_so(asked: str, read: str) -> None:
    [hit] = search(asked)
    assert any(f"({fold(asked)!r} was read as {read!r})" in match for match in hit.matches)


def test_a_word_in_the_title_counts_more_than_one_in_a_description() -> None:
    in_title = description(iri="urn:x:1", title="Diclofenac", identifier="1")
    in_text = description(iri="urn:x:2", title="Other", description="With diclofenac", identifier="2")
    hits = index_of(in_text, in_title).search("diclofenac", Filters(), 50)
    assert [hit.dataset.identifier for hit in hits] == ["1", "2"]
    assert hits[0].score > hits[1].score > 0


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"category": "EHRS"}, ["bleeding"]),
        ({"category": "hrad"}, ["bleeding", "hki"]),
        ({"category": "a"}, ["bleeding"]),
        ({"country": "FI"}, ["hki"]),
        ({"country": "finland"}, ["hki"]),
        ({"variable": "ATCcode"}, ["hki"]),
        ({"variable": "nothing"}, []),
        ({"country": "FI", "category": "EHRS"}, []),
    ],
)
def test_filters(filters: dict[str, str], expected: list[str]) -> None:
    assert found("", **filters) == expected


def test_an_unknown_category_or_country_is_refused_with_the_nearest() -> None:
    with pytest.raises(Invalid, match="Did you mean 'EHRS'"):
        found("", category="EHR")
    with pytest.raises(Invalid, match="no Member State"):
        found("", country="Atlantis")


def test_words_in_all_their_forms() -> None:
    assert forms_of("drug_concept_id") == ("drug_concept_id", "drug", "concept", "id")
    assert forms_of("patientId") == ("patientid", "patient", "id")
    assert words_of("Łódź, ΑΣ and Straße") == {"lodz", "ασ", "and", "strasse"}
    assert fold("ŒDÈME") == "oedeme"


@settings(deadline=None)
@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_the_distance_is_that_of_the_definition(one: str, other: str) -> None:
    def slowly(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        best = min(slowly(a[:-1], b) + 1, slowly(a, b[:-1]) + 1, slowly(a[:-1], b[:-1]) + (a[-1] != b[-1]))
        if len(a) > 1 and len(b) > 1 and a[-1] == b[-2] and a[-2] == b[-1]:
            best = min(best, slowly(a[:-2], b[:-2]) + 1)
        return best

    assert _distance(one, other, 20) == slowly(one, other)
    assert min(_distance(one, other, 2), 3) == min(slowly(one, other), 3)


def test_the_index_reads_only_what_changed() -> None:
    index, loaded = SearchIndex(), []
    stored = {d.iri: d for d in (LYON_SET, HELSINKI)}

    def load(iris: list[str]) -> list[DatasetDescription]:
        loaded.extend(iris)
        return [stored[iri] for iri in iris]

    def snapshot(stamp: str) -> Snapshot:
        listing = [StoredDataset(iri=iri, source="s", digest=digest(d)) for iri, d in stored.items()]
        return index.snapshot(stamp, lambda: listing, load)

    assert snapshot("1") is snapshot("1")
    assert sorted(loaded) == sorted(stored)
    loaded.clear()
    stored[HELSINKI.iri] = replace(HELSINKI, title="Xylophone")
    assert len(snapshot("2").search("xylophone", Filters(), 5)) == 1
    assert loaded == [HELSINKI.iri]
    del stored[HELSINKI.iri]
    assert snapshot("3").search("xylophone", Filters(), 5) == []


def test_a_thousand_data_sets_with_a_hundred_variables_are_searched_in_50_ms() -> None:
    chance = random.Random(7)
    words = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(4, 10))) for _ in range(3000)
    ]

    def text(length: int) -> str:
        return " ".join(chance.choices(words, k=length))

    # Holders share a data model, so most of their columns are the same.
    columns = [
        Variable(name=f"{text(1)}_{text(1)}", datatype=Datatype.STRING, title=text(2), description=text(6))
        for _ in range(1500)
    ]
    many = [
        replace(
            LYON_SET,
            iri=f"urn:x:{number}",
            title=text(4),
            description=text(20),
            tables=tuple(
                TableDescription(name=f"table_{t}", variables=tuple(chance.sample(columns, k=10)))
                for t in range(10)
            ),
        )
        for number in range(1000)
    ]
    index = index_of(*many)
    questions = [
        words[1],
        f"{words[2]} {words[3]}",
        words[4][:2],
        words[5][:-1] + "zq",
        "celecoxib bleeding france",
    ]
    seconds = []
    for question in questions * 3:
        before = time.process_time()
        index.search(question, Filters(), 50)
        seconds.append(time.process_time() - before)
    assert sorted(seconds)[len(seconds) // 2] < 0.05


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=30))
def test_any_question_is_answered(text: str) -> None:
    search(text)
