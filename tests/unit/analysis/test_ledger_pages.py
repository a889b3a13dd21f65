"""The ledger as a steward reads it, of a holder that answered and refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Response
from litestar.testing import TestClient

import salerno
from salerno.analysis.pages import ledger
from salerno.analysis.service.account import budget_words, column_words, read_account
from salerno.analysis.service.entries import Entry, StoredSet
from salerno.kernel.errors import Refused, SalernoError
from salerno.nodes.assemble import Node
from salerno.nodes.local import LocalSpace
from salerno.permits.model import DisclosurePolicy
from salerno.web.callers import Caller, CallerMiddleware
from salerno.web.layout import Pages


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A holder that answered one question and refused one that is about three persons less."""
    folder = tmp_path_factory.mktemp("ledger")
    rows = "".join(f"{20 + i % 60},{'FM'[i % 2]}\n" for i in range(200))
    (folder / "a.csv").write_text("age,sex\n" + rows)
    with LocalSpace([folder / "a.csv"]) as space:
        space.ask({"method": "count", "by": "sex"})
        with pytest.raises(Refused, match="by too few") as refused:
            space.ask({"method": "count"}, frame={"where": [{"column": "age", "operator": "<", "value": 79}]})
        assert not re.search(r"\b3\b", f"{refused.value.what} {refused.value.remedy}")
        yield space._holders[0]


def visitor(node: Node, *roles: str) -> TestClient[Litestar]:
    """A client with these roles."""
    folder = Path(salerno.__file__).parent / "analysis" / "templates"
    pages = Pages({"analysis": folder}, node_name="Lyon", role="holder")
    caller = Caller(kind="person", id="x#y", name="Y", roles=frozenset(roles)) if roles else None

    def problem(_: Any, error: SalernoError) -> Any:
        return Response(error.to_problem(), status_code=error.status)

    async def find(*_: Any) -> Caller | None:
        return caller

    app = Litestar(
        ledger.routes(pages, node.reading_holder_desk, node.holdings),
        middleware=[lambda app: CallerMiddleware(app, find)],
        exception_handlers={SalernoError: problem},
    )
    http = TestClient(app)
    http.headers["authorization"] = "Bearer x"
    return http


def test_a_steward_sees_what_was_asked_and_why_it_was_refused(holder: Node) -> None:
    with visitor(holder, "steward") as http:
        page = http.get("/ledger").text
        assert "2 questions" in page
        assert "the whole set differs from the whole set by 3 of its persons" in page
        assert '<a href="/ledger/1">question 1</a>' in page
        assert "may ask 199 more different questions about sex of" in page
        refused = http.get("/ledger?refused=yes").text
        assert "1 question<" in refused
        assert 'href="/ledger/2"' in refused
        assert "No question fits" in http.get("/ledger?user=nobody").text
        assert "No question fits" in http.get("/ledger?page=7").text
        assert http.get("/ledger?page=x").status_code == 200


def test_one_question_shows_its_sets(holder: Node) -> None:
    with visitor(holder, "operator") as http:
        answered, refused = http.get("/ledger/1").text, http.get("/ledger/2").text
        assert re.search(r"The whole set</th><td class=\"num\">200<", answered)
        assert re.search(r"F</th><td class=\"num\">100<", answered)
        assert "differs-by-too-few" in refused
        assert '<a href="/ledger/1">question 1</a>' in refused
        assert http.get("/ledger/3").status_code == 404


@pytest.mark.parametrize("role", ["researcher", "officer", "citizen", ""])
def test_the_ledger_is_closed_to_others(holder: Node, role: str) -> None:
    with visitor(holder, *filter(None, [role])) as http:
        for path in ("/ledger", "/ledger/1"):
            assert http.get(path).status_code == (403 if role else 401)


class _Kept:
    """A ledger of a few entries."""

    def __init__(self, *entries: Entry) -> None:
        self._entries = entries

    def entries(self, **_: Any) -> list[Entry]:
        return list(self._entries)

    def sets(self, entries: Any) -> list[StoredSet]:
        return []


def _entry(number: int, **said: Any) -> Entry:
    now = datetime(2031, 1, 1, tzinfo=UTC)
    plain: dict[str, Any] = {
        "id": number, "coordinator": "c", "question_id": "q", "run": 1, "user": "did:web:hub#rosa",
        "permit": "urn:uuid:p", "dataset": "d", "frame": "f", "question": {"method": "count", "n": number},
        "columns": ("age",), "measures": (), "holders": ("h",), "asked_at": now,
        "until": now + timedelta(days=9),
    }  # fmt: skip
    return Entry(**(plain | said))


def test_what_is_left_counts_all_questions_of_a_user_and_all_spending_of_a_permit() -> None:
    kept = _Kept(
        _entry(1, epsilon=0.25),
        _entry(2, epsilon=0.25, user="did:web:hub#otto"),
        _entry(3, permit="urn:uuid:other"),
        _entry(4, question={"method": "count", "n": 1}),
    )
    policy = DisclosurePolicy(epsilon=1, epsilon_per_question=0.25, max_questions_per_variable=5)
    account = read_account(kept, {"d": policy}, user="rosa", permit="p")  # type: ignore[arg-type]
    assert [entry.id for entry in account.entries] == [1, 4]
    assert [column_words(one) for one in account.columns] == [
        "rosa may ask 3 more different questions about age of d"
    ]
    assert [budget_words(one) for one in account.budgets] == [
        "Permit p has spent 0.5 of differential privacy on d, 0.5 is left"
    ]
    unlimited = read_account(kept, {"d": DisclosurePolicy(max_questions_per_variable=0)})  # type: ignore[arg-type]
    assert {one.left for one in unlimited.columns} == {None}
    assert [one.left for one in unlimited.budgets] == [None]


def test_complete_rows_lift_a_refusal_over_missing_values(tmp_path: Path) -> None:
    """Two questions that differ by three persons without a value are answered on complete rows alone."""
    rows = "".join(f"{20 + i % 60},{'' if i < 3 else 20 + i % 15 + 0.5},{i % 2}\n" for i in range(200))
    (tmp_path / "a.csv").write_text("age,bmi,ill\n" + rows)
    questions = (
        {"method": "describe", "variables": ["age"]},
        {"method": "glm", "formula": "ill ~ age + bmi", "family": "binomial"},
    )
    with LocalSpace([tmp_path / "a.csv"]) as space:
        space.ask(questions[0])
        with pytest.raises(Refused, match="by too few") as refused:
            space.ask(questions[1])
        assert '"complete": ["age", "bmi", "ill"]' in refused.value.remedy.replace("'", '"')
    with LocalSpace([tmp_path / "a.csv"]) as space:
        for question in questions:
            space.ask(question, frame={"complete": ["age", "bmi", "ill"]})
        with space._holders[0].reading_holder_desk() as desk:
            account = read_account(desk.ledger, {})
    assert set(account.persons.values()) == {197}
    assert [entry.refusal for entry in account.entries] == [None, None]
