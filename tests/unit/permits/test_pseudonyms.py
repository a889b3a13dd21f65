from __future__ import annotations

import json
from pathlib import Path

import pytest

from salerno.adapters.vault import Vault
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused
from salerno.kernel.values import to_plain
from salerno.permits.remote import HttpPseudonyms
from tests.unit.permits.test_opt_out import HOSPITAL, Holder, granted
from tests.unit.permits.world import OFFICER, World, person

SECOND = person("did:web:fr.example#second", "officer")
FIRST = person(OFFICER, "officer")
PERSON = "person-4711"


def pseudonyms(world: World, folder: Path) -> HttpPseudonyms:
    vault = Vault(folder / "permits", folder / "keys")
    return HttpPseudonyms(Holder(world), world.peers.participant, "did:web:fr.example", vault)


def test_a_holder_asks_once_for_a_permit_s_key(world: World, tmp_path: Path) -> None:
    one, two = granted(world), granted(world)
    made = pseudonyms(world, tmp_path).of(one.id).of(PERSON)
    assert pseudonyms(world, tmp_path).of(two.id).of(PERSON) != made
    world.down.add("did:web:fr.example")
    assert pseudonyms(world, tmp_path).of(one.id).of(PERSON) == made
    vault = Vault(tmp_path / "permits", tmp_path / "keys")
    vault.destroy_key(one.id)  # the end of the permit: from here on the access body alone can
    assert vault.read(one.id, "pseudonyms") is None
    assert world.bodies["FR"].acts().count("pseudonym-key-given") == 2


def test_who_gets_no_key(world: World) -> None:
    permit = granted(world)
    body = world.bodies["FR"]
    with body.desk() as desk:
        for holder, asked in (("did:web:hospital.de.example", permit.id), (HOSPITAL, "none")):
            with pytest.raises(NotFound, match="permit-not-found"):
                desk.pseudonym_key_for(holder, asked)
        desk.revoke(permit.id, OFFICER, "Misuse")
    with body.desk() as desk, pytest.raises(Refused, match="permit-ended"):
        desk.pseudonym_key_for(HOSPITAL, permit.id)
    case = world.submitted("FR", pseudonymised=False, why_not_anonymised="")
    anonymous = world.grant("FR", case.id).permit
    with body.desk() as desk, pytest.raises(Refused, match="permit-not-pseudonymised"):
        desk.pseudonym_key_for(HOSPITAL, anonymous.id)


def test_two_officers_take_a_pseudonym_back(world: World, tmp_path: Path) -> None:
    permit = granted(world)
    body = world.bodies["FR"]
    seen = {
        "permit": permit.id,
        "pseudonym": pseudonyms(world, tmp_path).of(permit.id).of(PERSON),
        "reason": "A finding that bears on the person's health",
    }
    asked = body.ask("POST", "/api/reidentifications", seen, caller=FIRST)
    assert asked["pseudonym"] == ""
    confirm = f"/api/reidentifications/{asked['id']}/confirm"
    with pytest.raises(Refused, match="own-reidentification"):
        body.ask("POST", confirm, caller=FIRST)
    assert body.ask("POST", confirm, caller=SECOND) == {"identifier": PERSON}
    with pytest.raises(Conflict, match="already-confirmed"):
        body.ask("POST", confirm, caller=SECOND)
    (kept,) = body.ask("GET", "/api/reidentifications", caller=FIRST)
    assert (kept["asked_by"], kept["confirmed_by"]) == (FIRST.id, SECOND.id)
    # Neither identifier nor pseudonym is kept or logged.
    with body.database.transaction() as connection:
        entries = json.dumps(to_plain(body.log(connection).entries(limit=1000)))
    for text in (json.dumps(kept), entries):
        assert PERSON not in text
        assert seen["pseudonym"] not in text
    for wrong, code in (
        ({"reason": " "}, "reason-missing"),
        ({"pseudonym": "abc"}, "not-a-pseudonym"),
    ):
        with pytest.raises(Invalid, match=code):
            body.ask("POST", "/api/reidentifications", seen | wrong, caller=FIRST)
    other = granted(world)
    with pytest.raises(Invalid, match="not-a-pseudonym"):
        body.ask("POST", "/api/reidentifications", seen | {"permit": other.id}, caller=FIRST)
    for path in (confirm.replace(asked["id"], "none"),):
        with pytest.raises(NotFound):
            body.ask("POST", path, caller=SECOND)
    with pytest.raises(NotFound):
        body.ask("POST", "/api/reidentifications", seen | {"permit": "none"}, caller=FIRST)
