"""Role x action: who may call which route of which node."""

from __future__ import annotations

from typing import Any

import pytest

from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound
from salerno.kernel.values import to_plain
from salerno.permits.api import routes
from salerno.web.callers import Caller
from tests.unit.permits.world import (
    COLLEAGUE,
    MARIE,
    OFFICER,
    World,
    application,
    as_caller,
    assessment,
    person,
)

APPLICATION = to_plain(application("FR"))
ASSESSMENT = to_plain(assessment())
PROPOSAL = {"verdict": "grant", "assessment": ASSESSMENT, "no_conflict": True}
LATE_REPORT = {
    "case_id": "{case}", "country": "FR", "status": {"state": "submitted", "version": 1},
}  # fmt: skip

# Node, method, path, body, the role that may, the status it gets.
ROUTES: list[tuple[str, str, str, Any, str, int]] = [
    ("hub", "POST", "/api/applications", APPLICATION, "researcher", 201),
    ("hub", "PUT", "/api/applications/{case}", APPLICATION, "researcher", 409),
    ("hub", "POST", "/api/applications/{case}/submit", None, "researcher", 409),
    ("hub", "POST", "/api/applications/{case}/withdraw", None, "researcher", 200),
    ("hub", "GET", "/api/applications", None, "researcher", 200),
    ("hub", "GET", "/api/applications/{case}", None, "researcher", 200),
    ("hub", "POST", "/api/applications/answers", {"answers": {"title": "T"}}, "researcher", 201),
    ("hub", "GET", "/api/applications/{case}/answers", None, "researcher", 200),
    ("hub", "PUT", "/api/applications/{case}/answers/title", {"answer": "T"}, "researcher", 409),
    ("hub", "GET", "/api/applications/{case}/history", None, "researcher", 200),
    ("hub", "POST", "/api/applications/changes", {"permits": ["x"], "kind": "renewal"}, "researcher", 404),
    ("hub", "POST", "/api/applications/{case}/appeal", {"country": "FR", "grounds": "!"}, "researcher", 409),
    ("hub", "GET", "/api/permits", None, "researcher", 200),
    ("hub", "POST", "/api/exchange/cases/{case}/status", LATE_REPORT, "access-body", 204),
    ("FR", "GET", "/api/cases", None, "officer", 200),
    ("FR", "GET", "/api/cases/{case}", None, "officer", 200),
    ("FR", "GET", "/api/cases?view=mine", None, "officer", 200),
    ("FR", "GET", "/api/cases?view=minee", None, "officer", 422),
    ("FR", "GET", "/api/cases/counts", None, "officer", 200),
    ("FR", "GET", "/api/officers", None, "officer", 200),
    ("FR", "GET", "/api/cases/{case}/history", None, "officer", 200),
    ("FR", "GET", "/api/cases/{case}/decisions", None, "officer", 200),
    ("FR", "POST", "/api/cases/{case}/take-up", None, "officer", 409),
    ("FR", "POST", "/api/cases/{case}/find-complete", None, "officer", 409),
    ("FR", "POST", "/api/cases/{case}/assign", {"to": OFFICER}, "officer", 200),
    ("FR", "POST", "/api/cases/{case}/declare-conflict", {"words": "My sister applies"}, "officer", 200),
    ("FR", "POST", "/api/cases/{case}/ask-back", {"question": "Which drugs?"}, "officer", 200),
    ("FR", "POST", "/api/cases/{case}/extend", {"words": "Hard"}, "officer", 200),
    ("FR", "POST", "/api/cases/{case}/propose", PROPOSAL, "officer", 200),
    ("FR", "POST", "/api/cases/{case}/send-back", {"words": "No"}, "officer", 409),
    ("FR", "POST", "/api/cases/{case}/confirm", {"no_conflict": True}, "officer", 409),
    ("FR", "POST", "/api/cases/{case}/lapse", None, "officer", 409),
    ("FR", "POST", "/api/cases/{case}/dismiss-appeal", {"words": "No"}, "officer", 409),
    ("FR", "POST", "/api/cases/{case}/uphold-appeal", {"words": "Yes"}, "officer", 409),
    ("FR", "POST", "/api/permits/revoke", {"id": "none", "reason": "Misuse"}, "officer", 404),
    ("FR", "POST", "/api/exchange/cases", {}, "hub", 422),
    ("FR", "GET", "/api/exchange/permit-status?id=none", None, "holder", 404),
    ("FR", "GET", "/api/exchange/permit-status?id=none", None, "hub", 404),
    ("FR", "GET", "/api/exchange/opt-outs?permit=none&dataset=d", None, "holder", 404),
    ("FR", "POST", "/api/exchange/deletions", {}, "holder", 422),
    ("FR", "GET", "/api/deletions?permit=none", None, "officer", 404),
    ("FR", "GET", "/api/exchange/pseudonym-key?permit=none", None, "holder", 404),
    ("FR", "GET", "/api/reidentifications", None, "officer", 200),
    ("FR", "POST", "/api/reidentifications", {}, "officer", 422),
    ("FR", "POST", "/api/reidentifications/{asked}/confirm", None, "officer", 404),
    ("FR", "GET", "/api/opt-out", None, "citizen", 200),
    ("FR", "POST", "/api/opt-out", {"opted_out": True}, "citizen", 200),
    ("FR", "GET", "/api/opt-out/receipts/{index}", None, "citizen", 404),
]


def callers(world: World) -> dict[str, Caller | None]:
    world.people["did:web:fr.example#zoe"] = "person-4711"
    participants = {
        "access-body": "did:web:fr.example",
        "hub": "did:web:hub.example",
        "holder": "did:web:hospital.fr.example",
    }
    return {
        "nobody": None,
        "researcher": person(MARIE, "researcher"),
        "officer": person(OFFICER, "officer"),
        "steward": person("did:web:x.example#sam", "steward"),
        "operator": person("did:web:x.example#otto", "operator"),
        "citizen": person("did:web:fr.example#zoe", "citizen"),
        **{role: as_caller(world.peers.known[did]) for role, did in participants.items()},
    }


@pytest.mark.parametrize(
    ("node", "method", "path", "body", "role", "status"),
    ROUTES,
    ids=[f"{r[1]} {r[2]} {r[4]}" for r in ROUTES],
)
def test_each_route_is_open_to_its_role_alone(
    world: World, node: str, method: str, path: str, body: Any, role: str, status: int
) -> None:
    case = world.submitted("FR")
    world.process("FR", case.id)
    if body is LATE_REPORT:
        body = LATE_REPORT | {"case_id": case.id}
    target = world.hub if node == "hub" else world.bodies[node]
    may = {route[4] for route in ROUTES if route[:3] == (node, method, path)}
    for name, caller in callers(world).items():
        if name not in may:
            got = target.status(
                method, path.format(case=case.id, index=10**6, asked="none"), body, caller=caller
            )
            assert (name, got) == (name, 401 if name == "nobody" else 403)
    path = path.format(case=case.id, index=10**6, asked="none")
    assert target.status(method, path, body, caller=callers(world)[role]) == status


def test_the_register_is_public(world: World) -> None:
    case = world.submitted("FR")
    for node in (world.hub, world.bodies["FR"]):
        assert [entry["case_id"] for entry in node.ask("GET", "/api/register")["entries"]] == [case.id]


def test_every_route_is_in_the_matrix(world: World) -> None:
    names = {
        "case": "{case_id:str}",
        "index": "{index:int}",
        "asked": "{asked_id:str}",
        "title": "{field:str}",
    }
    listed = set()
    for _, method, path, *_ in ROUTES:
        parts = path.split("?")[0].split("/")
        listed.add((method, "/".join(names.get(part.strip("{}"), part) for part in parts)))
    made = {
        (method, path)
        for node in (world.hub, world.bodies["FR"])
        for handler in routes(node.desk, node.own.role)
        for method in handler.http_methods  # type: ignore[union-attr]
        for path in handler.paths  # type: ignore[union-attr]
    }
    public = {"/api/register", "/api/forms", "/api/forms/{name:str}/{version:int}"}
    assert made == listed | {("GET", path) for path in public}
    assert routes(world.hub.desk, ParticipantRole.HOLDER) == []


def test_a_story_over_the_routes(world: World) -> None:
    marie, officer = person(MARIE, "researcher"), person(OFFICER, "officer")
    hub, body = world.hub, world.bodies["FR"]
    case = hub.ask("POST", "/api/applications", to_plain(application("FR", title="")), caller=marie)
    with pytest.raises(Invalid, match="title: "):
        hub.ask("POST", f"/api/applications/{case['id']}/submit", caller=marie)
    hub.ask("PUT", f"/api/applications/{case['id']}", APPLICATION, caller=marie)
    assert hub.ask("POST", f"/api/applications/{case['id']}/submit", caller=marie)["state"] == "submitted"
    world.deliver()
    here = f"/api/cases/{case['id']}"
    assert body.ask("POST", f"{here}/take-up", caller=officer)["state"] == "pre-screening"
    assert body.ask("POST", f"{here}/find-complete", caller=officer)["state"] == "processing"
    with pytest.raises(Conflict):
        body.ask("POST", f"{here}/take-up", caller=officer)
    given = PROPOSAL | {"terms": {"months": 6, "methods": ["count"], "policy": {"min_cell": 25}}}
    body.ask("POST", f"{here}/propose", given, caller=officer)
    second = person(COLLEAGUE, "officer")
    with pytest.raises(Invalid, match="conflict-undeclared"):
        body.ask("POST", f"{here}/confirm", {}, caller=second)
    assert body.ask("POST", f"{here}/confirm", {"no_conflict": True}, caller=second)["state"] == "decided"
    (decision,) = body.ask("GET", f"{here}/decisions", caller=officer)
    world.deliver()
    permits = hub.ask("GET", "/api/permits", caller=marie)
    issued = permits[0]
    assert decision["permit_id"] == issued["permit"]["id"]
    assert permits[0]["permit"]["policy"]["min_cell"] == 25
    assert hub.ask("GET", "/api/applications", caller=marie)["lines"][0]["state"] == "decided"
    body.ask(
        "POST", "/api/permits/revoke", {"id": issued["permit"]["id"], "reason": "Misuse"}, caller=officer
    )
    world.deliver()
    assert hub.ask("GET", "/api/permits", caller=marie)[0]["state"] == "revoked"


@pytest.mark.parametrize("body", [None, {}, {"title": 7}, [], APPLICATION | {"purpose": "fun"}])
def test_an_unreadable_application_is_refused_with_a_reason(world: World, body: Any) -> None:
    with pytest.raises(Invalid, match="the application"):
        world.hub.ask("POST", "/api/applications", body, caller=person(MARIE, "researcher"))


def test_a_report_is_about_the_case_of_its_address(world: World) -> None:
    case = world.submitted("FR")
    report = LATE_REPORT | {"case_id": "case-other"}
    with pytest.raises(Invalid, match="case-differs"):
        world.hub.ask(
            "POST",
            f"/api/exchange/cases/{case.id}/status",
            report,
            caller=as_caller(world.bodies["FR"].own),
        )


def test_another_researchers_case_looks_like_none(world: World) -> None:
    case = world.submitted("FR")
    pierre = person("did:web:hub.example#pierre", "researcher")
    for case_id in (case.id, "case-0"):
        with pytest.raises(NotFound, match="case-not-found"):
            world.hub.ask("GET", f"/api/applications/{case_id}", caller=pierre)
