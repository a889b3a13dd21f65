"""The end of a permit at a holder: what was kept is gone, in backups too, and that is proved."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from salerno.adapters.vault import Vault
from salerno.audit.model import Receipt
from salerno.audit.rules import verify_receipt
from salerno.holdings.service.ending import Endings
from salerno.kernel.errors import Refused, Unavailable
from salerno.permits.model import PermitState

SECRET = b"rows of a cohort"


class Body:
    """What the access body says and takes."""

    def __init__(self) -> None:
        self.states: dict[str, PermitState] = {}
        self.proofs: list[tuple[str, Receipt]] = []
        self.down = False

    def state(self, permit: str) -> PermitState:
        if self.down:
            raise Unavailable("peer-unreachable", "down")
        return self.states.get(permit, PermitState.GRANTED)

    def prove(self, permit: str, receipt: Receipt) -> None:
        if self.down:
            raise Unavailable("peer-unreachable", "down")
        self.proofs.append((permit, receipt))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "permits", tmp_path / "permit-keys")


@pytest.fixture
def body() -> Body:
    return Body()


@pytest.fixture
def endings(hospital: Any, vault: Vault, body: Body) -> Endings:
    return Endings(vault, hospital.holdings, body.state, body.prove, hospital.clock)


def test_after_the_end_the_key_is_gone_and_the_access_body_has_the_proof(
    hospital: Any, vault: Vault, body: Body, endings: Endings, tmp_path: Path
) -> None:
    end = hospital.clock.now() + timedelta(days=1)
    vault.write("urn:permit:1", "cohort", SECRET, until=end)
    vault.write("urn:permit:2", "cohort", SECRET, until=end + timedelta(days=1))
    endings.go_round()
    assert body.proofs == []
    shutil.copytree(tmp_path / "permits", tmp_path / "backup")
    hospital.clock.advance(days=1)
    endings.go_round()
    assert list(vault.permits()) == ["urn:permit:2"]
    ((permit, receipt),) = body.proofs
    entry = verify_receipt(receipt, hospital.keys.signing_jwk())
    assert (permit, entry.act, entry.subject) == ("urn:permit:1", "permit-data-deleted", "urn:permit:1")
    assert entry.detail["files"] == 1
    with hospital.holdings() as holdings:
        (deletion,) = holdings.deletions()
    assert deletion.sent_at == hospital.clock.now()
    # Somebody restores what was saved before: nothing can be read, and it is cleared away again.
    shutil.copytree(tmp_path / "backup", tmp_path / "permits", dirs_exist_ok=True)
    assert vault.read("urn:permit:1", "cohort") is None
    assert vault.read("urn:permit:2", "cohort") == SECRET
    endings.go_round()
    assert list(vault.permits()) == ["urn:permit:2"]
    second = verify_receipt(body.proofs[1][1], hospital.keys.signing_jwk())
    assert second.detail == entry.detail  # the digest says: the same files


def test_a_revoked_permit_ends_at_once(hospital: Any, vault: Vault, body: Body, endings: Endings) -> None:
    vault.write("urn:permit:1", "cohort", SECRET, until=hospital.clock.now() + timedelta(days=1))
    body.states["urn:permit:1"] = PermitState.REVOKED
    body.down = True
    endings.go_round()  # its state cannot be known: nothing is deleted
    assert vault.read("urn:permit:1", "cohort") == SECRET
    body.down = False
    endings.go_round()
    assert vault.permits() == {}
    assert len(body.proofs) == 1


def test_a_proof_that_was_not_taken_is_sent_again(
    hospital: Any, vault: Vault, body: Body, endings: Endings
) -> None:
    vault.write("urn:permit:1", "cohort", SECRET, until=hospital.clock.now())
    body.down = True
    with pytest.raises(Unavailable):
        endings.go_round()
    assert vault.permits() == {}
    body.down = False
    endings.go_round()
    endings.go_round()
    assert [permit for permit, _ in body.proofs] == ["urn:permit:1"]


def test_a_node_that_is_killed_in_between_goes_on(
    hospital: Any, vault: Vault, body: Body, endings: Endings
) -> None:
    vault.write("urn:permit:1", "cohort", SECRET, until=hospital.clock.now())
    vault.destroy_key("urn:permit:1")  # and no further
    endings.go_round()
    assert vault.permits() == {}
    assert len(body.proofs) == 1


def test_a_running_study_stops_when_its_permit_expires(hospital: Any, ask: Any, permit: Any) -> None:
    view = hospital.door.open(ask(replace(permit, valid_until=hospital.clock.now() + timedelta(seconds=40))))
    count = lambda table: table.aggregate(n=table.count())  # noqa: E731
    hospital.clock.advance(seconds=39)
    view.run(count)
    hospital.clock.advance(seconds=1)
    with pytest.raises(Refused, match="permit-expired"):
        view.run(count)
    view.close()
