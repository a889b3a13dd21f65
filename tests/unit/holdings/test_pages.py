"""The disclosure policy of a holding as its steward sees and chooses it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Response
from litestar.testing import TestClient
from litestar.types import ASGIApp, Receive, Scope, Send

import salerno
from salerno.holdings import pages as holdings_pages
from salerno.holdings.model import Holding
from salerno.kernel.errors import SalernoError
from salerno.permits.rules import MEANINGS, PRESETS
from salerno.web.callers import Caller
from salerno.web.layout import Pages
from salerno.web.sessions import Form
from tests.unit.holdings.conftest import Hospital


def visitor(hospital: Hospital, *roles: str, preset: str = "") -> TestClient[Litestar]:
    """A client with these roles, whose form chooses a preset."""
    folder = Path(salerno.__file__).parent / "holdings" / "templates"
    pages = Pages({"holdings": folder}, node_name="Lyon", role="holder")
    caller = Caller(kind="person", id="x#y", name="Y", roles=frozenset(roles)) if roles else None

    def arriving(app: ASGIApp) -> ASGIApp:
        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            scope.update({"caller": caller, "form": Form({"preset": [preset]})})  # type: ignore[typeddict-unknown-key]
            await app(scope, receive, send)

        return inner

    def problem(_: Any, error: SalernoError) -> Any:
        return Response(error.to_problem(), status_code=error.status)

    return TestClient(
        Litestar(
            holdings_pages.routes(pages, hospital.holdings, hospital.desk, lambda *_: None),
            middleware=[arriving],
            exception_handlers={SalernoError: problem},
        )
    )


def test_the_policy_in_force_is_shown_with_its_meaning(hospital: Hospital, cohort: Holding) -> None:
    with visitor(hospital, "steward") as http:
        page = unescape(http.get("/holdings/cohort/policy").text)
        assert "This is the policy <strong>salerno</strong>" in page
        for name, meaning in MEANINGS.items():
            assert re.search(rf"<code>{name}</code></th><td>[^<]+</td><td>{re.escape(meaning)}</td>", page)
        assert "/holdings/cohort/policy" in http.get("/holdings").text
        assert http.get("/holdings/cohart/policy").status_code == 404


def test_a_steward_chooses_a_preset(hospital: Hospital, cohort: Holding) -> None:
    with visitor(hospital, "steward", preset="strict") as http:
        assert http.post("/holdings/cohort/policy", follow_redirects=False).status_code == 303
        assert "<strong>strict</strong>" in http.get("/holdings/cohort/policy").text
    with hospital.holdings() as holdings:
        assert holdings.holding("cohort").policy == PRESETS["strict"]
    assert "policy-set" in hospital.acts()


def test_an_unknown_preset_changes_nothing(hospital: Hospital, cohort: Holding) -> None:
    with visitor(hospital, "steward", preset="strickt") as http:
        answer = http.post("/holdings/cohort/policy", follow_redirects=False)
        assert answer.status_code == 422
        assert "strict" in answer.text
    assert "policy-set" not in hospital.acts()


@pytest.mark.parametrize("role", ["researcher", "officer", "operator", ""])
def test_the_policy_is_closed_to_others(hospital: Hospital, cohort: Holding, role: str) -> None:
    with visitor(hospital, *filter(None, [role]), preset="acro") as http:
        for answer in (http.get("/holdings/cohort/policy"), http.post("/holdings/cohort/policy")):
            assert answer.status_code == (403 if role else 401)
    assert "policy-set" not in hospital.acts()
