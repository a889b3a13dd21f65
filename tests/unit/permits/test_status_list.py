"""The status list of permits, from the access body's register to the holder's door."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from salerno.identity.model import Credential, Participant
from salerno.identity.rules import key_id
from salerno.kernel.errors import Refused, Unavailable
from salerno.permits.api import status_lists
from salerno.permits.model import DataPermit, PermitState
from salerno.permits.remote import HttpPermitStatus, HttpStatusLists
from salerno.permits.wire import is_revoked, render_status_list
from salerno.standards.jose import read_claims
from salerno.standards.status_list import LIST_CREDENTIAL
from tests.unit.permits.test_opt_out import HOSPITAL, Holder, granted
from tests.unit.permits.world import OFFICER, Node, World


class Lists:
    """What a holder reads of the French access body's list."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.body: Node = world.bodies["FR"]
        self.reads = 0
        self.down = False
        self.reader = HttpStatusLists(self.fetch, world.peers.participant, self.verify, world.clock)
        self.status = HttpPermitStatus(Holder(world), world.peers.participant, self.reader)

    def render(self, revoked: Any) -> str:
        own = self.body.own
        return render_status_list(
            f"{own.url}/api/status-lists/permits",
            revoked,
            issuer=own.did,
            now=self.world.clock.now(),
            key=self.body.keys.private_jwk(),
            kid=key_id(own.did, self.body.keys.signing_jwk()),
        )

    def fetch(self, asked: Participant, path: str) -> str:
        if self.down:
            raise Unavailable("peer-unreachable", "down")
        self.reads += 1
        assert asked.did == self.body.own.did
        with TestClient(Litestar(status_lists(self.body.desk, self.render), openapi_config=None)) as client:
            answer = client.get(path)
        assert answer.headers["content-type"].startswith("application/vc+jwt")
        assert "max-age=10" in answer.headers["cache-control"]
        return answer.text

    def verify(self, token: str) -> Credential:
        with self.body.database.transaction() as connection:
            return self.body.trust(connection).verify_credential(token, type=LIST_CREDENTIAL)


@pytest.fixture
def lists(world: World) -> Lists:
    return Lists(world)


def revoke(world: World, permit: DataPermit) -> None:
    with world.bodies["FR"].desk() as desk:
        desk.revoke(permit.id, OFFICER, "Misuse")


def test_permits_stand_at_places_of_their_own_and_name_them(world: World) -> None:
    permits = [granted(world) for _ in range(3)]
    assert len({permit.status_place for permit in permits}) == 3
    with world.bodies["FR"].desk() as desk:
        token = desk.status(permits[0].id).token
    said = read_claims(token)["credentialStatus"]
    assert said["statusListIndex"] == str(permits[0].status_place)
    assert said["statusListCredential"] == "https://fr.example/api/status-lists/permits"


def test_one_list_tells_of_all_permits_who_is_revoked(world: World, lists: Lists) -> None:
    permits = [granted(world) for _ in range(3)]
    assert [lists.reader.is_revoked(permit) for permit in permits] == [False] * 3
    revoke(world, permits[1])
    assert lists.reads == 1
    world.clock.advance(seconds=10)
    assert [lists.reader.is_revoked(permit) for permit in permits] == [False, True, False]
    assert lists.reads == 2


def test_the_list_serves_where_the_access_body_does_not_answer(world: World, lists: Lists) -> None:
    permit = granted(world)
    world.down.add("did:web:fr.example")
    assert lists.status.state(permit) is PermitState.GRANTED
    world.clock.advance(seconds=10)
    lists.down = True
    with pytest.raises(Unavailable):  # nor the list: nothing may be read
        lists.status.state(permit)
    lists.down = False
    revoke(world, permit)
    assert lists.status.state(permit) is PermitState.REVOKED


def test_an_old_a_foreign_or_another_s_list_is_not_believed(world: World, lists: Lists) -> None:
    permit = granted(world)
    kept = lists.render([])
    lists.fetch = lambda *_: kept  # type: ignore[method-assign]
    stale = HttpStatusLists(lambda *_: kept, world.peers.participant, lists.verify, world.clock)
    assert stale.is_revoked(permit) is False
    world.clock.advance(seconds=26)
    assert stale.is_revoked(permit) is None
    other = Lists(world)
    other.body = world.bodies["DE"]
    credential = lists.verify(other.render([]))
    with pytest.raises(Refused, match="status-list-other"):
        is_revoked(credential, permit)
    forged = HttpStatusLists(lambda *_: other.render([]), world.peers.participant, lists.verify, world.clock)
    assert forged.is_revoked(permit) is None


def test_a_holder_asks_nobody_but_the_issuer(world: World, lists: Lists) -> None:
    permit = replace(
        granted(world), status_list="https://fr.example.attacker.example/api/status-lists/permits"
    )
    assert lists.reader.is_revoked(permit) is None
    assert lists.reads == 0
    assert lists.status.state(permit) is PermitState.GRANTED
    assert HOSPITAL in {scope.holder for scope in permit.data}
