"""Commands that speak to nodes, against real ones: the whole story by command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Run, Salerno
from tests.unit.client.space import BODY, HUB, PASSWORD, Space


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    with Space(tmp_path_factory.mktemp("space")).running() as running:
        yield running


@pytest.fixture
def at(space: Space, salerno: Salerno, monkeypatch: pytest.MonkeyPatch) -> Salerno:
    """Runs a command at the node where the person has an account, logged in."""
    monkeypatch.setattr("salerno.adapters.http.httpx.Client", lambda **_: space.wire)

    def run(login: str, *words: object, stdin: str = "") -> Run:
        url = BODY if login in ("odile", "oscar", "claire") else HUB
        if login:
            entered = salerno(
                "log-in", "--at", url, "--login", login, "--password-stdin", stdin=f"{PASSWORD}\n"
            )
            assert entered.code == 0, entered.err
        return salerno(*words, "--at", url, stdin=stdin)

    return run


def until(at: Salerno, wanted: str, login: str, *words: object) -> Run:
    """Run a command again until its output has a text."""
    end = time.monotonic() + 40
    while True:
        run = at(login, *words)
        if wanted in run.out:
            return run
        assert time.monotonic() < end, run
        time.sleep(0.2)


def application(at: Salerno, folder: Path) -> Path:
    until(at, "Bleeding register", "olga", "catalogue", "search", "bleeding")
    (iri,) = (d["iri"] for d in at("marie", "catalogue", "search", "bleeding", "--json").json)
    filled: dict[str, Any] = at("marie", "apply", "template", "--dataset", iri).json
    account = at("marie", "me", "--json").json
    filled |= {
        "title": "Bleeding",
        "applicant": "Institute",
        "contact_email": "marie@example.org",
        "persons": [{"id": account["id"], "name": account["name"], "principal_investigator": True}],
        "intended_use": "Compare.",
        "expected_benefit": "Safer treatment.",
        "lay_summary": "Who bleeds?",
        "safeguards": "Only sums leave.",
    }
    path = folder / "application.json"
    path.write_text(json.dumps(filled))
    return path


def test_log_in_is_kept_and_ended(at: Salerno, own_config: Path) -> None:
    assert "Marie Curie" in at("marie", "me").out
    kept = own_config / "sessions.json"
    assert HUB in kept.read_text()
    assert at("", "log-out").code == 0
    after = at("", "me")
    assert after.code == 3
    assert "salerno log-in --at" in after.err
    assert at("", "log-out").code == 0


def test_a_wrong_password(at: Salerno, salerno: Salerno) -> None:
    run = salerno("log-in", "--at", HUB, "--login", "marie", "--password-stdin", stdin="nothers\n")
    assert run.code == 3
    assert "nothers" not in run.err + run.out


def test_the_catalogue(at: Salerno) -> None:
    assert at("olga", "catalogue", "harvest").code == 0
    assert isinstance(at("olga", "catalogue", "harvest", "--json").json, list | dict)
    found = until(at, "Bleeding register", "", "catalogue", "search", "bleeding")
    assert "Hospital Lyon" in found.out
    (hit,) = at("", "catalogue", "search", "bleeding", "--json").json
    shown = at("", "catalogue", "show", hit["iri"])
    assert "age" in shown.out
    assert at("", "catalogue", "show", hit["iri"], "--json").json["iri"] == hit["iri"]
    assert at("", "catalogue", "show", "https://nowhere.example/x").code == 4
    nothing = at("", "catalogue", "search", "zebrafish")
    assert (nothing.out, nothing.err) == ("", "Nothing found.\n")


def test_from_application_to_answer(at: Salerno, tmp_path: Path) -> None:
    filed = at("marie", "apply", "file", application(at, tmp_path), "--confirm")
    assert filed.code == 0, filed.err
    case = filed.out.strip()
    until(at, case, "odile", "case", "list")
    assert at("odile", "case", "show", case, "--json").json["id"] == case
    whole = at("odile", "case", "show", case)
    assert "Compare." in whole.out
    assert "columns asked for" in whole.out
    assert at("odile", "case", "take-up", case).code == 0
    assert at("odile", "case", "complete", case).code == 0
    assert "Give --assessment FILE" in at("odile", "case", "propose", case, "grant").err
    grant = ("case", "propose", case, "grant", "--all-met", "--months", 6, "--conditions", "Tell us.")
    assert "--no-conflict" in at("odile", *grant).err or "conflict" in at("odile", *grant).err
    assert at("odile", *grant, "--no-conflict").code == 0
    assert "another officer" in at("odile", "case", "confirm", case, "--no-conflict").err
    assert case in at("oscar", "case", "list", "--view", "proposed").out
    confirmed = at("oscar", "case", "confirm", case, "--no-conflict")
    assert confirmed.code == 0, confirmed.err
    decided = at("marie", "apply", "wait", case)
    assert "partial" in decided.out
    assert at("marie", "apply", "show", case, "--json").json["state"] == "decided"
    assert "issued" in at("odile", "case", "history", case).out
    assert "submitted" in at("marie", "apply", "history", case).out
    assert case in at("marie", "apply", "list").out

    (permit,) = [
        p for p in at("marie", "permit", "list", "--json").json if p["permit"]["application_id"] == case
    ]
    id = permit["permit"]["id"]
    assert "Tell us." in at("marie", "permit", "show", id).out
    assert at("marie", "permit", "show", id + "x").code == 4
    assert id in at("marie", "permit", "list").out

    opened = at("marie", "study", "open", "--title", "Bleeding", "--permit", id)
    assert opened.code == 0, opened.err
    study = opened.out.strip()
    assert study in at("marie", "study", "list").out
    files = [tmp_path / name for name in ("r.html", "p.svg", "t.csv", "t.parquet")]
    options = [
        w for o, f in zip(("--report", "--svg", "--csv", "--parquet"), files, strict=True) for w in (o, f)
    ]
    asked = at(
        "marie", "study", "ask", study, "-", *options, stdin='{"method": "histogram", "variable": "age"}'
    )
    assert asked.code == 0, asked.err
    assert "n = 400" in asked.out
    assert all(file.stat().st_size > 0 for file in files)
    as_json = at("marie", "study", "ask", study, "-", "--json", stdin='{"method": "count"}')
    assert as_json.json["n"] == 400
    assert as_json.err == ""
    later = at("marie", "study", "ask", study, "-", "--no-wait", stdin='{"method": "count"}')
    assert at("marie", "study", "answer", later.out.strip(), "--json").json["n"] == 400
    assert later.out.strip() in at("marie", "study", "questions", study).out

    plan = tmp_path / "ages.toml"
    plan.write_text(
        f'title = "Ages"\npermits = ["{id}"]\n[questions.all]\nmethod = "count"\n'
        '[questions.sex]\nmethod = "count"\nby = "sex"\nneeds = ["all"]\n'
    )
    rehearsed = at("marie", "study", "rehearse", plan)
    assert rehearsed.code == 0, rehearsed.err
    assert "Hospital Lyon (synthetic)" in rehearsed.out
    ran = at("marie", "study", "run", plan)
    assert ran.code == 0, ran.err
    assert "all: answered" in ran.err
    assert "Number of persons by sex" in ran.out
    results = tmp_path / "ages-results"
    assert "Number of persons by sex" in (results / "report.html").read_text()
    assert (results / "evidence.zip").exists()
    again = at("marie", "study", "run", plan, "--json").json
    assert again["answers"]["sex"] == json.loads((results / "answers" / "sex.json").read_text())
    plan.write_text(plan.read_text().replace('by = "sex"', 'by = "sexx"'))
    failed = at("marie", "study", "run", plan)
    assert failed.code == 2
    assert "Did you mean 'sex'" in failed.err

    typo = at("marie", "study", "ask", study, "-", stdin='{"method": "describe", "variable": "agee"}')
    assert (typo.code, "Did you mean 'age'" in typo.err) == (2, True)
    assert at("marie", "study", "ask", study, "-", stdin="{").code == 2
    assert at("marie", "study", "ask", study, "-", stdin="[]").code == 2
    assert at("marie", "study", "ask", study, tmp_path / "none.json").code == 4

    assert at("odile", "permit", "revoke", id, "--reason", "No longer needed.").code == 0
    # Another method, since a view that is open already asks about its permit every half minute only.
    refused = at(
        "marie", "study", "ask", study, "-", stdin='{"method": "t_test", "variable": "age", "by": "sex"}'
    )
    assert (refused.code, "revoked" in refused.err) == (3, True)


def test_drafts_questions_and_refusals(at: Salerno, tmp_path: Path) -> None:
    path = application(at, tmp_path)
    draft = at("marie", "apply", "file", path, "--draft").out.strip()
    assert "has to be confirmed" in at("marie", "apply", "gaps", draft).out
    assert "attest-identity" in at("marie", "apply", "form").out
    assert "whole number" in at("marie", "apply", "answer", draft, "period-months", "a year").out
    assert at("marie", "apply", "answer", draft, "period-months", "18").err == "Nothing is missing.\n"
    exported = tmp_path / "exported.json"
    exported.write_text(at("marie", "apply", "export", draft).out)
    draft = at("marie", "apply", "file", exported, "--draft", "--confirm").out.strip()
    assert at("marie", "apply", "gaps", draft).err == "Nothing is missing.\n"
    assert at("marie", "apply", "show", draft, "--json").json["state"] == "draft"
    assert at("marie", "apply", "submit", draft).code == 0
    until(at, draft, "odile", "case", "list")
    assert at("odile", "case", "take-up", draft).code == 0
    asked = at("odile", "case", "ask-back", draft, "--question", "Why?", "--comment", "safeguards=Which?")
    assert asked.code == 0, asked.err
    assert "safeguards" in until(at, "Why?", "marie", "apply", "show", draft).out
    assert "withdrawn" in at("marie", "apply", "withdraw", draft).out

    second = at("marie", "apply", "file", path, "--confirm", "--json").json["id"]
    until(at, second, "odile", "case", "list")
    at("odile", "case", "take-up", second)
    at("odile", "case", "complete", second)
    assessment = tmp_path / "assessment.json"
    assessment.write_text(json.dumps({"criteria": [{"letter": "b", "met": False, "remark": "Too much."}]}))
    refused = at(
        "odile", "case", "propose", second, "refuse", "--assessment", assessment,
        "--reason", "Too much data.", "--no-conflict",
    )  # fmt: skip
    assert refused.code == 0, refused.err
    assert at("oscar", "case", "send-back", second, "--remark", "Say which columns.").code == 0
    assert at("odile", "case", "propose", second, "refuse", "--assessment", assessment, "--reason",
              "Too much data.", "--no-conflict").code == 0  # fmt: skip
    assert at("oscar", "case", "confirm", second, "--no-conflict").code == 0
    assert "Too much data." in until(at, "refusal", "marie", "apply", "show", second).out
    appealed = at("marie", "apply", "appeal", second, "--country", "FR", "--grounds", "All are needed.")
    assert appealed.code == 0, appealed.err
    until(at, "appealed", "odile", "case", "show", second)
    own = at("odile", "case", "appeal", second, "dismiss", "--reason", "They are not.")
    assert "did not take the decision" in own.err


def test_opting_out(at: Salerno) -> None:
    assert "You have opted out" in at("claire", "optout", "set").out
    assert at("claire", "optout", "show", "--json").json["opted_out"] is True
    assert "You have not opted out." in at("claire", "optout", "clear").out
    assert "opted out from" in at("claire", "optout", "show").out


def test_what_is_not_ones_own(at: Salerno) -> None:
    assert at("paul", "apply", "show", "case-nobodys").code == 4
    assert at("paul", "case", "list").code in (3, 4)
    assert at("paul", "study", "answer", "question-nobodys").code == 4


def test_no_address(salerno: Salerno) -> None:
    run = salerno("catalogue", "search", "x")
    assert (run.code, "SALERNO_URL" in run.err) == (2, True)


def test_the_inbox_by_command_line(at: Salerno, space: Space) -> None:
    assert "language" in at("paul", "inbox", "contact", "--language", "fr").out
    with space.hub.notices() as notices:
        values = {"reference": "FR-1", "day": "2031-03-01"}
        notices.tell(f"{space.hub.own.did}#paul", "invoiced", values, path="/applications/x")
    listed = at("paul", "inbox", "list")
    assert "Une facture pour la demande FR-1" in listed.out
    assert "1 mars 2031" in listed.out
    assert at("paul", "inbox", "read").err.strip().endswith("1")
    assert at("paul", "inbox", "list", "--unread", "--json").json == []
    assert at("paul", "inbox", "contact", "--email", "x").code == 2
