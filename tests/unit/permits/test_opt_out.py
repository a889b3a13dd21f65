from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from salerno.adapters import jobs
from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from salerno.kernel.values import to_plain
from salerno.permits.model import OptOut, PermitState
from salerno.permits.remote import HttpOptOuts, HttpPermitStatus
from salerno.permits.rules import opt_out_token
from tests.unit.permits.world import OFFICER, World, as_caller, assessment, participant, person

HOSPITAL = "did:web:hospital.fr.example"
PERSON = "person-4711"


class Holder:
    """A hospital's signed calls."""

    def __init__(self, world: World, did: str = HOSPITAL) -> None:
        self.world = world
        self.own = world.peers.known[did]
        self.asked: list[str] = []

    def call(
        self,
        participant: Participant,
        method: str,
        path: str,
        json: Any = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        self.asked.append(path)
        if participant.did in self.world.down:
            raise Unavailable("peer-unreachable", f"{participant.url} cannot be reached")
        return self.world.nodes[participant.did].ask(method, path, json, caller=as_caller(self.own))


def test_opting_out_and_in_has_a_history_with_receipts(world: World) -> None:
    body = world.bodies["FR"]
    with body.desk() as desk:
        first = desk.opt_out(PERSON, "did:web:fr.example#zoe")
        world.clock.advance(days=1)
        assert desk.opt_out(PERSON) == first
        desk.opt_in(PERSON)
        with pytest.raises(Conflict, match="not-opted-out"):
            desk.opt_in(PERSON)
        world.clock.advance(days=1)
        desk.opt_out(f" {PERSON} ")
        history = desk.opt_out_history(PERSON)
        assert desk.opt_out_history("person-1") == []
    assert [(o.until is None) for o in history] == [False, True]
    with body.database.transaction() as connection:
        acts = {entry.index: entry for entry in body.log(connection).entries()}
        jobs_left = jobs.failed(connection)
    assert [acts[o.receipt].act for o in history if o.receipt is not None] == ["opted-out", "opted-out"]
    assert history[0].reversal_receipt is not None
    assert acts[history[0].reversal_receipt].act == "opted-in"
    assert acts[history[0].reversal_receipt].subject == acts[history[0].receipt or 0].subject
    # The log tells nobody who it was.
    text = json.dumps(to_plain(list(acts.values())))
    assert PERSON not in text
    assert "zoe" not in text
    assert jobs_left == []


def test_errors_do_not_name_the_person(world: World) -> None:
    with world.bodies["FR"].desk() as desk:
        with pytest.raises(Conflict) as caught:
            desk.opt_in(PERSON)
        assert PERSON not in str(caught.value)
        with pytest.raises(Invalid, match="person-missing"):
            desk.opt_out("  ")
    with world.hub.desk() as desk, pytest.raises(Refused, match="wrong-node"):
        desk.opt_out(PERSON)


def test_each_holder_gets_tokens_that_it_alone_can_match(world: World) -> None:
    second = participant("clinic.fr.example", ParticipantRole.HOLDER, "FR", "did:web:fr.example")
    world.admit(second)
    body = world.bodies["FR"]
    with body.desk() as desk:
        desk.opt_out(PERSON)
        one, two = desk.opt_outs_for(HOSPITAL), desk.opt_outs_for(second.did)
        again = desk.opt_outs_for(HOSPITAL)
    assert one.salt_hex != two.salt_hex
    assert one.salt_hex == again.salt_hex
    assert [o.person for o in one.entries] == [opt_out_token(bytes.fromhex(one.salt_hex), PERSON)]
    assert {o.person for o in one.entries}.isdisjoint(o.person for o in two.entries)
    assert PERSON not in json.dumps(to_plain(one))
    assert one.entries[0].receipt is None


def test_only_holders_in_charge_get_a_list(world: World) -> None:
    with world.bodies["FR"].desk() as desk:
        for did in ("did:web:hospital.de.example", "did:web:hub.example"):
            with pytest.raises(Refused, match="not-your-access-body"):
                desk.opt_outs_for(did)
        with pytest.raises(NotFound):
            desk.opt_outs_for("did:web:stranger.example")


def opt_outs_at(world: World, folder: Path, holder: Holder | None = None) -> HttpOptOuts:
    return HttpOptOuts(
        holder or Holder(world), world.peers.participant, "did:web:fr.example", folder / "opt-outs.json"
    )


def test_the_holder_asks_each_time_but_is_sent_changes_only(world: World, tmp_path: Path) -> None:
    holder = Holder(world)
    register = opt_outs_at(world, tmp_path, holder)
    with world.bodies["FR"].desk() as desk:
        desk.opt_out(PERSON)
    first = register.current()
    world.clock.advance(seconds=5)
    second = register.current()
    assert second.entries == first.entries
    assert second.as_of == world.clock.now()
    assert holder.asked[-1].endswith("known=1.0")
    with world.bodies["FR"].desk() as desk:
        desk.opt_in(PERSON)
    third = register.current()
    assert third.entries == (
        OptOut(person=first.entries[0].person, since=first.as_of, until=world.clock.now()),
    )


def test_a_restart_forgets_no_opt_out(world: World, tmp_path: Path) -> None:
    with world.bodies["FR"].desk() as desk:
        desk.opt_out(PERSON)
    before = opt_outs_at(world, tmp_path).current()
    world.down.add("did:web:fr.example")
    assert opt_outs_at(world, tmp_path).current() == before
    assert [path.name for path in tmp_path.iterdir()] == ["opt-outs.json"]


@pytest.mark.parametrize("content", [None, b"", b'{"salt_hex": 7}'])
def test_without_list_and_access_body_nothing_can_be_read(
    world: World, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "opt-outs.json").write_bytes(content)
    world.down.add("did:web:fr.example")
    with pytest.raises(Unavailable, match="opt-outs-unavailable"):
        opt_outs_at(world, tmp_path).current()


def test_a_list_that_cannot_be_kept_is_an_error(world: World, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="opt-outs-unsaved"):
        opt_outs_at(world, tmp_path / "gone").current()
    (tmp_path / "opt-outs.json").mkdir()
    with pytest.raises(Unavailable, match="opt-outs-unsaved"):
        opt_outs_at(world, tmp_path).current()
    assert [path.name for path in tmp_path.iterdir()] == ["opt-outs.json"]


class Answers:
    """A peer that answers what it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def call(self, participant: Participant, method: str, path: str, json: Any = None, **_: Any) -> Any:
        self.asked.append(path)
        return self.answers.pop(0)


def listed(salt: str, at: str, revision: str, *persons: str) -> dict[str, Any]:
    entries = [{"person": name, "since": "2030-01-01T00:00:00Z"} for name in persons]
    return {"salt_hex": salt, "as_of": at, "revision": revision, "entries": entries}


def test_odd_answers_of_the_access_body(world: World, tmp_path: Path) -> None:
    peer = Answers(
        listed("aa", "2031-01-02T00:00:00Z", "1.0", "x"),
        listed("aa", "2031-01-01T00:00:00Z", "0.0"),  # overtaken on its way
        {"salt_hex": "aa"},  # unreadable
        listed("bb", "2031-01-03T00:00:00Z", "1.0"),  # another secret, and it thinks we know
        listed("bb", "2031-01-03T00:00:00Z", "1.0", "y"),
        listed("cc", "2031-01-04T00:00:00Z", "2.0", "z", "w"),
    )
    register = HttpOptOuts(peer, world.peers.participant, "did:web:fr.example", tmp_path / "list.json")
    seen = [[o.person for o in register.current().entries] for _ in range(5)]
    assert seen == [["x"], ["x"], ["x"], ["y"], ["z", "w"]]
    assert peer.asked[-2].endswith("known=")


def test_a_holder_learns_at_once_what_became_of_a_permit(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    with body.desk() as desk:
        desk.take_up(case.id, OFFICER)
        permit = desk.grant(case.id, OFFICER, assessment()).permit
    status = HttpPermitStatus(Holder(world), world.peers.participant)
    assert status.state(permit) is PermitState.GRANTED
    with body.desk() as desk:
        desk.revoke(permit.id, OFFICER, "Misuse")
    assert status.state(permit) is PermitState.REVOKED

    other = HttpPermitStatus(Holder(world, "did:web:hospital.de.example"), world.peers.participant)
    with pytest.raises(Refused, match="permit-unknown"):
        other.state(permit)
    world.down.add("did:web:fr.example")
    with pytest.raises(Unavailable):
        status.state(permit)
    for answer in (None, {}, {"state": "fine"}):
        with pytest.raises(Unavailable, match="permit-status"):
            HttpPermitStatus(Answers(answer), world.peers.participant).state(permit)


def test_a_citizen_sees_own_periods_without_identifier(world: World) -> None:
    body = world.bodies["FR"]
    zoe = person("did:web:fr.example#zoe", "citizen")
    world.people[zoe.id] = PERSON
    assert body.ask("GET", "/api/opt-out", caller=zoe) == {"opted_out": False, "history": []}
    answer = body.ask("POST", "/api/opt-out", {"opted_out": True}, caller=zoe)
    assert answer["opted_out"] is True
    assert answer["history"][0]["receipt"] == len(body.acts()) - 1
    assert PERSON not in json.dumps(answer)
    assert body.ask("POST", "/api/opt-out", {"opted_out": False}, caller=zoe)["opted_out"] is False
    with pytest.raises(Conflict):
        body.ask("POST", "/api/opt-out", {"opted_out": False}, caller=zoe)
    with pytest.raises(Invalid, match="person-missing"):
        body.ask("POST", "/api/opt-out", {"opted_out": True}, caller=person("x#y", "citizen"))
