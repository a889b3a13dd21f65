from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from salerno.adapters import jobs
from salerno.adapters.vault import Vault
from salerno.audit.model import Receipt
from salerno.audit.rules import verify_receipt
from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from salerno.kernel.values import from_plain, to_plain
from salerno.permits.model import DataPermit, OptOutList, PermitState
from salerno.permits.remote import HttpOptOuts, HttpPermitStatus
from salerno.permits.rules import opt_out_token, parse_levels
from salerno.permits.service import Objections
from tests.unit.permits.world import OFFICER, World, as_caller, participant, permit, person

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


def granted(world: World, **decision: Any) -> DataPermit:
    """A permit for the French hospital's data."""
    case = world.submitted("FR")
    return world.grant("FR", case.id, **decision).permit


def list_of(world: World, permit: DataPermit, holder: str = HOSPITAL) -> OptOutList:
    with world.bodies["FR"].desk() as desk:
        return desk.opt_outs_for(holder, permit.id, permit.data[0].dataset)


def test_each_permit_gets_tokens_that_its_holder_alone_can_match(world: World) -> None:
    with world.bodies["FR"].desk() as desk:
        desk.opt_out(PERSON)
    permits = [granted(world), granted(world)]
    one, two = (list_of(world, permit) for permit in permits)
    assert one == list_of(world, permits[0])
    assert one.salt != two.salt
    assert one.tokens == opt_out_token(one.salt, PERSON)
    assert two.tokens == opt_out_token(two.salt, PERSON) != one.tokens
    assert PERSON not in json.dumps(to_plain(one))


def test_what_was_chosen_when_the_permit_was_approved_stays_so(world: World) -> None:
    body = world.bodies["FR"]
    with body.desk() as desk:
        desk.opt_out(PERSON)
    world.clock.advance(days=1)
    bound = granted(world)
    world.clock.advance(days=1)
    with body.desk() as desk:
        desk.opt_in(PERSON)
        desk.opt_out("late")
    after = granted(world)
    assert list_of(world, bound).tokens == opt_out_token(list_of(world, bound).salt, PERSON)
    assert list_of(world, after).tokens == opt_out_token(list_of(world, after).salt, "late")


def test_levels_of_a_country(world: World) -> None:
    body = world.bodies["FR"]
    genomes = "https://hospital.fr.example/datasets/gi"
    body.objections = Objections(
        levels=parse_levels(
            """
            [research]
            title = "Research"
            purposes = ["research", "education"]
            [statistics]
            title = "Statistics"
            purposes = ["statistics"]
            [genomes]
            title = "Genomes"
            categories = ["HGPD"]
            """
        ),
        categories_of=lambda iri: body.categories if iri == genomes else (),
    )
    with body.desk() as desk:
        desk.opt_out("all")
        for level in ("research", "statistics", "genomes"):
            desk.opt_out(level, level=level)
        with pytest.raises(Invalid, match="opt-out-level"):
            desk.opt_out("somebody", level="reserch")
        desk.opt_out("both", level="research")
        desk.opt_out("both")
        desk.opt_in("both", level="research")
    permit = granted(world)  # for research

    def left_out() -> set[str]:
        listed = list_of(world, permit)
        tokens = {listed.tokens[at : at + 16] for at in range(0, len(listed.tokens), 16)}
        persons = ("all", "research", "statistics", "genomes", "both", "somebody")
        return {person for person in persons if opt_out_token(listed.salt, person) in tokens}

    assert left_out() == {"all", "research", "genomes", "both"}  # a data set that nobody has described
    body.categories = ("EHRS",)
    assert left_out() == {"all", "research", "both"}
    body.categories = ("EHRS", "HGPD")
    assert left_out() == {"all", "research", "genomes", "both"}
    body.objections = Objections()  # the country gave its levels up: what was said then binds all the more
    assert left_out() == {"all", "research", "statistics", "genomes", "both"}


def test_only_the_permit_s_own_holder_gets_its_list(world: World) -> None:
    permit = granted(world)
    clinic = participant("clinic.fr.example", ParticipantRole.HOLDER, "FR", "did:web:fr.example")
    world.admit(clinic)
    dataset = permit.data[0].dataset
    with world.bodies["FR"].desk() as desk:
        for did in ("did:web:hospital.de.example", "did:web:hub.example"):
            with pytest.raises(Refused, match="not-your-access-body"):
                desk.opt_outs_for(did, permit.id, dataset)
        others = (clinic.did, permit.id, dataset), (HOSPITAL, "none", dataset), (HOSPITAL, permit.id, "x")
        for asked in others:
            with pytest.raises(NotFound, match="permit-not-found"):
                desk.opt_outs_for(*asked)
        with pytest.raises(NotFound):
            desk.opt_outs_for("did:web:stranger.example", permit.id, dataset)


def opt_outs_at(world: World, folder: Path, holder: Any = None) -> HttpOptOuts:
    return HttpOptOuts(
        holder or Holder(world),
        world.peers.participant,
        "did:web:fr.example",
        Vault(folder / "permits", folder / "keys"),
    )


def test_a_list_is_asked_for_until_it_is_final_and_kept_then(world: World, tmp_path: Path) -> None:
    holder = Holder(world)
    register = opt_outs_at(world, tmp_path, holder)
    with world.bodies["FR"].desk() as desk:
        desk.opt_out(PERSON)
    permit = granted(world)
    dataset = permit.data[0].dataset
    first = register.of(permit, dataset)
    register.of(permit, dataset)
    assert len(holder.asked) == 2  # somebody's choice of the same moment may still be on its way
    world.clock.advance(seconds=61)
    kept = register.of(permit, dataset)
    assert kept.tokens == first.tokens
    world.down.add("did:web:fr.example")
    assert opt_outs_at(world, tmp_path, holder).of(permit, dataset) == kept  # after a restart too
    assert len(holder.asked) == 3
    # What lies on disk tells nothing without the permit's key.
    sealed = b"".join(path.read_bytes() for path in (tmp_path / "permits").rglob("*") if path.is_file())
    assert kept.tokens not in sealed
    assert kept.salt.encode() not in sealed


def test_without_list_and_access_body_nothing_can_be_read(world: World, tmp_path: Path) -> None:
    permit = granted(world)
    world.clock.advance(seconds=120)
    register = opt_outs_at(world, tmp_path)
    register.of(permit, permit.data[0].dataset)
    for path in (tmp_path / "permits").rglob("*.sealed"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    world.down.add("did:web:fr.example")
    with pytest.raises(Unavailable, match="opt-outs-unavailable"):
        register.of(permit, permit.data[0].dataset)


@pytest.mark.parametrize(
    "answer",
    [
        {"salt": "00"},
        {"salt": "xyz", "tokens": "", "as_of": "2031-01-01T00:00:00Z"},
        {"salt": "0" * 32, "tokens": "AAAA", "as_of": "2032-01-01T00:00:00Z"},
        {"salt": "0" * 32, "tokens": "", "as_of": "2031-01-01T00:00:00Z"},  # older than the approval
    ],
)
def test_an_odd_answer_is_no_list(world: World, tmp_path: Path, answer: Any) -> None:
    register = opt_outs_at(world, tmp_path, Answers(answer))
    with pytest.raises(Unavailable, match="opt-outs-unavailable"):
        register.of(permit(), "d")


class Answers:
    """A peer that answers what it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def call(self, participant: Participant, method: str, path: str, json: Any = None, **_: Any) -> Any:
        return self.answers.pop(0)


def test_a_holder_learns_at_once_what_became_of_a_permit(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    permit = world.grant("FR", case.id).permit
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
    assert body.ask("GET", "/api/opt-out", caller=zoe) == {
        "opted_out": False,
        "history": [],
        "levels": [{"name": "", "title": "All secondary use", "purposes": [], "categories": []}],
    }
    answer = body.ask("POST", "/api/opt-out", {"opted_out": True}, caller=zoe)
    assert answer["opted_out"] is True
    assert answer["history"][0]["receipt"] == len(body.acts()) - 1
    assert PERSON not in json.dumps(answer)
    number = answer["history"][0]["receipt"]
    receipt = from_plain(body.ask("GET", f"/api/opt-out/receipts/{number}", caller=zoe), Receipt, what="it")
    assert verify_receipt(receipt, body.keys.signing_jwk()).act == "opted-out"
    with pytest.raises(NotFound, match="no-such-receipt"):
        body.ask("GET", f"/api/opt-out/receipts/{number - 1}", caller=zoe)
    assert body.ask("POST", "/api/opt-out", {"opted_out": False}, caller=zoe)["opted_out"] is False
    with pytest.raises(Conflict):
        body.ask("POST", "/api/opt-out", {"opted_out": False}, caller=zoe)
    with pytest.raises(Invalid, match="person-missing"):
        body.ask("POST", "/api/opt-out", {"opted_out": True}, caller=person("x#y", "citizen"))
