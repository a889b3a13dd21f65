"""Time, identifiers, code lists and JSON: the words that everything else is written with."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salerno.kernel.codes import COUNTRIES, DataCategory, Purpose
from salerno.kernel.errors import Invalid
from salerno.kernel.ids import new_id
from salerno.kernel.time import add_months, from_text, to_text
from salerno.kernel.values import canonical, digest, from_json, from_plain, to_json, to_plain

instants = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(
    lambda naive: naive.replace(tzinfo=UTC)
)


@given(instants, instants)
def test_instants_as_texts_come_back_and_sort_alike(one: datetime, other: datetime) -> None:
    assert from_text(to_text(one)) == one
    assert (to_text(one) < to_text(other)) == (one < other)


def test_an_instant_without_a_zone_is_no_instant() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_text(datetime(2031, 1, 1))
    with pytest.raises(ValueError, match="time zone"):
        from_text("2031-01-01T00:00:00")
    in_helsinki = datetime(2031, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert to_text(in_helsinki) == "2031-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2031, 1, 31), 1, date(2031, 2, 28)),
        (date(2032, 1, 31), 1, date(2032, 2, 29)),
        (date(2031, 11, 30), 3, date(2032, 2, 29)),
        (date(2031, 3, 15), 0, date(2031, 3, 15)),
        (date(2031, 3, 31), -1, date(2031, 2, 28)),
        (date(2031, 12, 1), 120, date(2041, 12, 1)),
    ],
)
def test_months_end_on_the_same_day_or_the_last(day: date, months: int, later: date) -> None:
    assert add_months(day, months) == later


def test_identifiers_are_unique_and_say_their_kind() -> None:
    made = [new_id("case") for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(one.startswith("case-") and len(one) == len("case-") + 10 + 1 + 8 for one in made)
    assert [one.split("-")[1] for one in made] == sorted(one.split("-")[1] for one in made)


def test_there_are_the_17_categories_and_the_6_purposes_of_the_regulation() -> None:
    assert [category.letter for category in DataCategory] == list("abcdefghijklmnopq")
    assert DataCategory("EHRS").label.startswith("Electronic health data")
    assert [purpose for purpose in Purpose if purpose.public_bodies_only] == [
        Purpose.PUBLIC_HEALTH,
        Purpose.POLICY,
        Purpose.STATISTICS,
    ]
    assert all(f"Art. 53(1)({letter})" in p.label for p, letter in zip(Purpose, "abcdef", strict=True))
    assert len(COUNTRIES) == 28


@dataclass(frozen=True)
class Person:
    name: str
    age: int
    purposes: tuple[Purpose, ...] = ()


def test_values_come_back_from_json() -> None:
    person = Person("Trota", 44, (Purpose.RESEARCH,))
    assert from_json(to_json(person), Person, what="the person") == person
    assert from_plain(to_plain(person), Person, what="the person") == person


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{", "not-json", "the person is not JSON"),
        (b"\xff", "not-json", "the person is not JSON"),
        ('{"name": "Trota"}', "wrong-shape", "age"),
        ('{"name": "Trota", "age": "old"}', "wrong-shape", "$.age"),
    ],
)
def test_wrong_json_names_the_place(text: str | bytes, code: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_json(text, Person, what="the person")
    assert caught.value.code == code
    assert words in caught.value.what


def test_wrong_plain_values_name_the_place() -> None:
    with pytest.raises(Invalid, match=r"\$\.age"):
        from_plain({"name": "Trota", "age": "old"}, Person, what="the person")


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
def test_equal_values_have_equal_bytes(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical(value) == canonical(turned)
    assert digest(value) == digest(turned)


_THREADS = """
import sys, threading
from dataclasses import field, make_dataclass
from salerno.kernel.values import from_json, from_plain
sys.setswitchinterval(1e-6)
for n in range(150):
    members = [(f"m{i}", int, field(default=0)) for i in range(15)]
    inner = make_dataclass(f"Inner{n}", members, frozen=True)
    holding = [("a", list[inner]), ("b", dict[str, inner]), ("c", inner)]
    outer = make_dataclass(f"Outer{n}", holding, frozen=True)
    ready = threading.Barrier(4)
    def read(number):
        ready.wait()
        if number % 2:
            from_json(b'{"a": [{"m1": 1}], "b": {"x": {}}, "c": {}}', outer, what="it")
        else:
            from_plain({"a": [{"m1": 1}], "b": {"x": {}}, "c": {}}, outer, what="it")
    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_threads_may_read_a_type_for_the_first_time_at_once() -> None:
    """A process of its own, since a failure would end this one."""
    subprocess.run([sys.executable, "-c", _THREADS], check=True)
