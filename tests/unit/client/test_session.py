"""The client against real nodes: what a researcher, an officer, an operator and a citizen do."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from salerno import (
    Application,
    Conflict,
    Invalid,
    NotFound,
    Refused,
    SalernoError,
    Study,
    Unavailable,
    connect,
)
from salerno.client.studies import PendingQuestion
from tests.unit.client.conftest import ABOUT, ASSESSED, LogIn, arrived, find
from tests.unit.client.space import BODY, HUB, PASSWORD, Space


@pytest.fixture
def study(log_in: LogIn, granted: Application) -> Study:
    return log_in("marie").study("Bleeding", granted)


def test_log_in_and_out(log_in: LogIn) -> None:
    session = log_in("marie")
    assert (session.me["name"], session.me["login"], session.me["roles"]) == (
        "Marie Curie",
        "marie",
        ["researcher"],
    )
    assert session.token
    session.log_out()
    with pytest.raises(Refused, match="salerno log-in --at"):
        session.applications()
    assert "not logged in" in repr(session)


def test_a_wrong_password_is_refused(space: Space) -> None:
    with pytest.raises(SalernoError, match="password"):
        connect(HUB, login="marie", password="not hers", http=space.http())


def test_a_password_is_not_asked_for_without_a_terminal(space: Space) -> None:
    with pytest.raises(Invalid, match="password-missing"):
        connect(HUB, login="marie", http=space.http())


@pytest.mark.parametrize("url", ["", "hub.example", "ftp://hub.example"])
def test_an_address_that_is_none(url: str, log_in: LogIn) -> None:
    with pytest.raises(Invalid, match="not-an-address"):
        connect(url)


def test_environment_and_kept_tokens(log_in: LogIn, space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    from salerno.client.tokens import save_token

    session = log_in("marie")
    monkeypatch.setenv("SALERNO_URL", HUB + "/")
    monkeypatch.setenv("SALERNO_TOKEN", session.token)
    assert connect(http=space.http()).me["login"] == "marie"
    monkeypatch.delenv("SALERNO_URL")
    monkeypatch.delenv("SALERNO_TOKEN")
    save_token(HUB, session.token)
    assert connect(http=space.http()).me["login"] == "marie"


def test_a_node_that_is_down_is_named(log_in: LogIn, space: Space) -> None:
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:7999"):
        connect("http://127.0.0.1:7999", http=space.http()).search("x")


def test_find_and_look_at_a_dataset(log_in: LogIn, space: Space) -> None:
    find(log_in)
    marie = log_in("marie")
    (found,) = marie.search("bleeding")
    assert (found.title, found.holder, found.country) == ("Bleeding register of Lyon", "Hospital Lyon", "FR")
    assert set(found.variables()["variable"]) == {"age", "sex", "time", "status"}
    assert marie.dataset(found.iri).title == found.title
    assert marie.search("bleeding", country="FI") == []
    assert marie.search(variable="age")[0].iri == found.iri
    with pytest.raises(NotFound):
        marie.dataset("https://nowhere.example/datasets/x")


def test_an_application_is_checked_before_it_is_filed(log_in: LogIn) -> None:
    marie = log_in("marie")
    with pytest.raises(Invalid, match="Did you mean 'intended_use'"):
        marie.apply(ABOUT, intended_us="x")
    with pytest.raises(Invalid, match="purpose"):
        marie.apply(ABOUT, purpose="advertising")
    with pytest.raises(Invalid, match="wrong-shape"):
        marie.apply(title="Only a title")


def test_a_draft_is_saved_and_withdrawn(log_in: LogIn) -> None:
    find(log_in)
    marie = log_in("marie")
    draft = marie.apply(ABOUT, datasets=[marie.search("bleeding")[0].iri], submit=False)
    assert draft.state == "draft"
    assert draft.save(title="Another title").title == "Another title"
    assert marie.application(draft.id).title == "Another title"
    assert draft.id in [a.id for a in marie.applications()]
    assert draft.withdraw().state == "withdrawn"
    with pytest.raises(Conflict):
        draft.submit()
    with pytest.raises(NotFound):
        log_in("paul").application(draft.id)


def test_an_officer_asks_back_and_refuses(log_in: LogIn) -> None:
    find(log_in)
    marie, officer = log_in("marie"), log_in("odile")
    filed = marie.apply(ABOUT, datasets=marie.search("bleeding"), confirm=True)
    with pytest.raises(Unavailable, match="FR had not decided"):
        filed.wait(0.1)
    arrived(log_in, filed.id).take_up().ask_back("Which groups?")
    filed.wait(30, every=0.1)
    assert filed.countries == {"FR": "awaiting-information"}
    assert "Which groups?" in filed.reasons["FR"]
    filed.save(intended_use="Compare F and M.").submit()
    end = time.monotonic() + 30
    while (case := officer.case(filed.id)).state == "awaiting-information":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert filed.id in [c.id for c in officer.cases()]
    assert list(case.due) == ["FR"]
    unmet = {"criteria": [{"letter": "b", "met": False, "remark": "Too much."}]}
    case.propose("refuse", unmet, reason="More data than needed.", no_conflict=True)
    log_in("oscar").case(filed.id).confirm(no_conflict=True)
    filed.wait(30, every=0.1)
    assert (filed.state, filed.countries) == ("decided", {"FR": "refusal"})
    assert [d["outcome"] for d in case.decisions()] == ["refusal"]
    assert [e["act"] for e in case.history()][-3:] == ["proposed", "decided", "decision-published"]
    assert "More data than needed." in filed.reasons["FR"]


def test_a_grant_gives_a_permit_with_its_credential(log_in: LogIn, granted: Application) -> None:
    assert granted.countries == {"FR": "partial"}
    permits = {p.id: p for p in log_in("marie").permits()}
    permit = permits[granted.permit_ids["FR"]]
    assert (permit.country, permit.state) == ("FR", "granted")
    assert permit.token.count(".") == 2
    assert permit.permit["application_id"] == granted.id
    assert log_in("paul").permits() == []


def test_a_study_is_asked_and_answers(study: Study) -> None:
    answer = study.count(by="sex")
    assert answer.n == 400
    assert answer.table()["n"].sum() == 400
    model = study.glm("status ~ age + sex", family="binomial")
    assert list(model.table()["term"]) == ["(Intercept)", "age", "sexM"]
    assert [q.state for q in study.questions()] == ["answered", "answered"]


def test_a_misspelt_column_is_met_with_the_nearest(study: Study) -> None:
    with pytest.raises(Invalid, match="Did you mean 'age'"):
        study.describe("agee")


def test_progress_is_told_and_waiting_can_end(study: Study) -> None:
    pending = study.submit({"method": "count"})
    with pytest.raises(Unavailable, match="not-answered-yet"):
        PendingQuestion(pending._link, pending.asked).wait(0)
    told: list[str] = []

    from collections.abc import Callable
    from contextlib import contextmanager

    @contextmanager
    def tell(sentence: str) -> Iterator[Callable[[str], None]]:
        told.append(sentence)
        yield told.append

    assert pending.wait(60, progress=tell).n == 400
    assert told[0] == "The question is on its way"
    assert pending.done
    assert pending.answer.n == 400


def test_what_a_key_names_is_asked_once(log_in: LogIn, granted: Application) -> None:
    marie = log_in("marie")
    study = marie.study("Keyed", granted, key="keyed")
    assert marie.study("Keyed again", granted, key="keyed").id == study.id
    with pytest.raises(Conflict, match="key-reused"):
        marie.study("Keyed", granted, min_holders=1, key="keyed")
    first = study.submit({"method": "count"}, key="n")
    assert study.submit({"method": "count"}, key="n").id == first.id
    assert study.submit({"method": "count"}, key="m").id != first.id
    with pytest.raises(Conflict, match="key-reused"):
        study.submit({"method": "count", "by": "sex"}, key="n")
    assert len(study.questions()) == 2
    assert first.wait(60).n == 400
    assert [s.id for s in marie.studies()].count(study.id) == 1


def test_options_of_a_study_reach_the_hub(log_in: LogIn, granted: Application, space: Space) -> None:
    iri = space.dataset.iri
    study = log_in("marie").study("Options", granted, min_holders=1, on_refusal="leave-out", datasets=[iri])
    options = study.study["options"]
    assert (options["min_holders"], options["on_refusal"]) == (1, "leave-out")
    assert list(options["datasets"].values()) == [iri]


def test_notebooks_show_studies_and_questions(study: Study) -> None:
    shown = study._repr_html_()
    assert study.id in shown
    assert study.permits[0] in shown
    assert "<table" in study.count(by="sex")._repr_html_()
    failed = study.submit({"method": "describe", "variable": "agee"})
    with pytest.raises(Invalid):
        failed.wait(60)
    assert "Did you mean" in failed._repr_html_()
    assert "Hospital Lyon: opened" in failed.refresh()._repr_html_()


def test_who_waits_can_watch_the_holders(study: Study) -> None:
    seen: list[str] = []
    study.ask({"method": "count"}, watch=lambda pending: seen.append(pending.standing))
    assert seen[-1] == "answered"


def test_studies_and_questions_can_be_found_again(log_in: LogIn, study: Study) -> None:
    asked = study.submit({"method": "count"})
    marie = log_in("marie")
    assert study.id in [s.id for s in marie.studies()]
    again = marie.open_study(study.id)
    assert (again.title, again.permits) == (study.title, study.permits)
    assert marie.question(asked.id).wait(60).n == 400
    with pytest.raises(NotFound):
        log_in("paul").open_study(study.id)
    with pytest.raises(NotFound):
        log_in("paul").question(asked.id)


def test_a_study_needs_a_permit_of_ones_own(log_in: LogIn, granted: Application) -> None:
    with pytest.raises(Invalid, match="no-permit"):
        log_in("marie").study("x", [])
    with pytest.raises(SalernoError):
        log_in("paul").study("x", [granted.permit_ids["FR"]])


def test_each_method_is_a_call_that_makes_its_question(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(study, "ask", asked.append)
    study.count()
    study.describe("age", by=("sex",))
    study.describe(["age", "time"])
    study.crosstab("sex", "status")
    study.histogram("age", bins=5)
    study.quantiles("age", (0.25, 0.75))
    study.t_test("age", "sex")
    study.correlation(("age", "time"))
    study.kaplan_meier(by="sex", grid=30)
    study.log_rank(by="sex")
    study.competing_risks(causes={"relapse": (1,), "death": [2]}, by="sex")
    study.restricted_mean(by="sex", horizon=365)
    study.cox("Surv(time, status) ~ age", ties="efron", strata=None)
    study.glm("status ~ age", family="binomial")
    surv = {"time": "time", "event": "status"}
    assert asked == [
        {"method": "count"},
        {"method": "describe", "variable": "age", "by": ["sex"]},
        {"method": "describe", "variables": ["age", "time"]},
        {"method": "crosstab", "rows": "sex", "columns": "status"},
        {"method": "histogram", "variable": "age", "bins": 5},
        {"method": "quantiles", "variable": "age", "probabilities": [0.25, 0.75]},
        {"method": "t_test", "variable": "age", "by": "sex"},
        {"method": "correlation", "variables": ["age", "time"]},
        {"method": "kaplan_meier", **surv, "by": "sex", "grid": 30},
        {"method": "log_rank", **surv, "by": "sex"},
        {"method": "competing_risks", **surv, "causes": {"relapse": [1], "death": [2]}, "by": "sex"},
        {"method": "restricted_mean", **surv, "by": "sex", "horizon": 365},
        {"method": "cox", "formula": "Surv(time, status) ~ age", "ties": "efron", "strata": None},
        {"method": "glm", "formula": "status ~ age", "family": "binomial"},
    ]


def test_a_citizen_opts_out_and_back_in(log_in: LogIn) -> None:
    claire = log_in("claire")
    assert claire.opt_out()["opted_out"] is False
    assert claire.opt_out(True)["opted_out"] is True
    assert claire.opt_out()["opted_out"] is True
    assert claire.opt_out(False)["opted_out"] is False
    assert len(claire.opt_out()["history"]) == 1


def test_a_person_is_told_things_and_says_how(log_in: LogIn, space: Space) -> None:
    paul = log_in("paul")
    assert paul.contact() == {"email": "", "language": "en"}
    assert paul.contact(language="de", email="paul@uni.example")["language"] == "de"
    with pytest.raises(Invalid, match="no notices in 'dee'"):
        paul.contact(language="dee")
    with space.hub.notices() as notices:
        for reference in ("FR-1", "FR-2"):
            values = {"reference": reference, "country": "FR"}
            notices.tell(paul.me["id"], "decided-full", values, path="/applications/x")
    told = paul.notices(unread=True)
    assert {n["subject"] for n in told} == {
        "Antrag FR-1 wurde genehmigt", "Antrag FR-2 wurde genehmigt",
    }  # fmt: skip
    assert paul.mark_read(told[0]["id"]) == 1
    assert [n["id"] for n in paul.notices(unread=True)] == [told[1]["id"]]
    assert log_in("marie").mark_read(told[1]["id"]) == 0
    assert paul.mark_read() == 1
    assert len(paul.notices()) == 2
    mine = {n["id"] for n in paul.notices()}
    assert not mine & {n["id"] for n in log_in("marie").notices()}


def test_a_revoked_permit_opens_nothing(log_in: LogIn) -> None:
    find(log_in)
    marie, officer = log_in("marie"), log_in("odile")
    filed = marie.apply(ABOUT, datasets=marie.search("bleeding"), confirm=True)
    arrived(log_in, filed.id).take_up().find_complete().propose("grant", ASSESSED, no_conflict=True)
    log_in("oscar").case(filed.id).confirm(no_conflict=True)
    study = marie.study("Later revoked", filed.wait(30, every=0.1))
    permit = next(p for p in marie.permits() if p.id == filed.permit_ids["FR"])
    assert officer.revoke(permit, "The purpose has changed.").state == "revoked"
    with pytest.raises(Refused, match="revoked"):
        study.count()


def test_roles_are_held_apart(log_in: LogIn, space: Space) -> None:
    with pytest.raises(SalernoError):
        log_in("marie").harvest()
    with pytest.raises(SalernoError):
        log_in("claire").cases()
    with pytest.raises(SalernoError):
        connect(BODY, http=space.http()).opt_out()
    assert PASSWORD not in repr(log_in("marie"))
