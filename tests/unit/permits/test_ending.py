from __future__ import annotations

from dataclasses import replace

import pytest

from salerno.adapters.keys import KeyRing
from salerno.audit.model import Receipt
from salerno.kernel.errors import NotFound, Refused
from salerno.kernel.values import from_plain, to_plain
from salerno.permits.model import DataPermit
from tests.unit.permits.test_opt_out import HOSPITAL, granted
from tests.unit.permits.world import OFFICER, Node, World, as_caller, person


@pytest.fixture
def hospital(world: World) -> Node:
    """The holder's own node, as far as its log is concerned."""
    node = Node(world.peers.known[HOSPITAL], world.hub.database, world.peers, world.clock, world, {})
    world.peers.keys[HOSPITAL] = node.keys = KeyRing.generate()
    return node


def receipt(node: Node, permit: str, *, act: str = "permit-data-deleted", actor: str = HOSPITAL) -> Receipt:
    with node.database.transaction() as connection:
        log = node.log(connection)
        index = log.append(actor=actor, act=act, subject=permit, detail={"files": 2, "digest": "0" * 64})
        return log.receipt(index)


def send(world: World, permit: DataPermit, proof: Receipt, sender: str = HOSPITAL) -> None:
    body = {"permit": permit.id, "receipt": to_plain(proof)}
    caller = as_caller(world.peers.known[sender])
    world.bodies["FR"].ask("POST", "/api/exchange/deletions", body, caller=caller)


def test_the_access_body_keeps_the_proof_of_deletion(world: World, hospital: Node) -> None:
    permit = granted(world)
    proof = receipt(hospital, permit.id)
    send(world, permit, proof)
    send(world, permit, proof)
    officer = person(OFFICER, "officer")
    (kept,) = world.bodies["FR"].ask("GET", f"/api/deletions?permit={permit.id}", caller=officer)
    assert (kept["holder"], kept["files"]) == (HOSPITAL, 2)
    assert from_plain(kept["receipt"], Receipt, what="it") == proof
    assert world.bodies["FR"].acts().count("permit-deletion-proved") == 1
    with pytest.raises(NotFound):
        world.bodies["FR"].ask("GET", "/api/deletions?permit=none", caller=officer)


def test_what_proves_nothing_is_refused(world: World, hospital: Node) -> None:
    permit = granted(world)
    good = receipt(hospital, permit.id)
    stranger = replace(hospital)
    stranger.keys = KeyRing.generate()
    world.peers.keys[HOSPITAL] = hospital.keys
    for bad in (
        receipt(hospital, "urn:another"),
        receipt(hospital, permit.id, act="view-read"),
        receipt(hospital, permit.id, actor="did:web:other.example"),
        replace(good, entry=good.entry.replace('"files":2', '"files":9')),
        receipt(stranger, permit.id),
    ):
        with pytest.raises(Refused, match="deletion-unproved"):
            send(world, permit, bad)
    assert world.bodies["FR"].acts().count("message-refused") == 5
    with pytest.raises(NotFound, match="permit-not-found"):
        send(world, permit, good, "did:web:hospital.de.example")
