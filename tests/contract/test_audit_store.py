"""The audit log holds together on every database, also with many writers, and shows every change."""

from __future__ import annotations

import threading
from base64 import b64decode
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database, Opens
from salerno.adapters.keys import KeyRing
from salerno.audit import store
from salerno.audit.rules import verify_receipt
from salerno.audit.service import AuditLog
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused
from salerno.standards.merkle import verify_consistency
from salerno.standards.notes import parse_checkpoint

KEYS = KeyRing.generate()
CLOCK = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
ORIGIN = "fr.example/audit"


@pytest.fixture
def open_audit(database: Database) -> Opens[AuditLog]:
    with database.transaction() as connection:
        store.metadata.create_all(connection)
    return database.opens(lambda c: AuditLog(store.SqlAuditStore(c), CLOCK, KEYS, ORIGIN))


def fill(open_audit: Opens[AuditLog], count: int) -> None:
    with open_audit() as audit:
        for number in range(count):
            audit.append(actor="a", act="row-read", subject=f"s{number % 3}", detail={"n": number})


def change(database: Database, statement: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(statement)


def test_entries_come_back_in_order_and_by_act_or_subject(open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 7)
    with open_audit() as audit:
        assert audit.append(actor="b", act="permit-issued", subject="p", rule="EHDS Art. 68") == 7
        assert [e.index for e in audit.entries()] == list(range(8))
        assert [e.index for e in audit.entries(after=2, limit=2)] == [3, 4]
        assert [e.detail["n"] for e in audit.entries(subject="s1")] == [1, 4]
        (entry,) = audit.entries(act="permit-issued")
    assert (entry.actor, entry.subject, entry.rule, entry.at) == ("b", "p", "EHDS Art. 68", CLOCK.now())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 33])
def test_every_receipt_proves_its_entry(open_audit: Opens[AuditLog], size: int) -> None:
    fill(open_audit, size)
    with open_audit() as audit:
        receipts = [audit.receipt(index) for index in range(size)]
    for index, receipt in enumerate(receipts):
        assert verify_receipt(receipt, KEYS.signing_jwk(), origin=ORIGIN).detail == {"n": index}


def test_there_is_no_receipt_of_what_is_not_there(open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 2)
    with open_audit() as audit:
        for index in (-1, 2):
            with pytest.raises(NotFound):
                audit.receipt(index)


def test_later_checkpoints_extend_earlier_ones(open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 5)
    with open_audit() as audit:
        old = parse_checkpoint(audit.checkpoint())
        assert audit.checkpoint() == audit.checkpoint()
    fill(open_audit, 6)
    with open_audit() as audit:
        new = parse_checkpoint(audit.checkpoint())
        proof = [b64decode(h) for h in audit.consistency(old.size, new.size)]
        with pytest.raises(Invalid):
            audit.consistency(5, 12)
    assert (old.size, new.size) == (5, 11)
    assert verify_consistency(old.size, new.size, old.root, new.root, proof)


def test_an_act_that_is_rolled_back_leaves_no_entry(open_audit: Opens[AuditLog]) -> None:
    def act() -> None:
        with open_audit() as audit:
            audit.append(actor="a", act="row-read", subject="s")
            raise Conflict("x", "no")

    with pytest.raises(Conflict):
        act()
    with open_audit() as audit:
        assert audit.size() == 0


def test_a_refusal_that_is_raised_leaves_its_entry(open_audit: Opens[AuditLog]) -> None:
    def act() -> None:
        with open_audit() as audit:
            audit.append(actor="a", act="row-read", subject="s")
            audit.append_refusal(actor="a", act="row-refused", subject="s", detail={"reason": "x"})
            raise Refused("x", "no")

    with pytest.raises(Refused):
        act()
    with open_audit() as audit:
        assert [e.act for e in audit.entries()] == ["row-refused"]
        assert audit.verify().ok


def test_a_refusal_that_is_caught_inside_is_written_once(open_audit: Opens[AuditLog]) -> None:
    with open_audit() as audit:
        audit.append_refusal(actor="a", act="row-refused", subject="s")
    with open_audit() as audit:
        assert audit.size() == 1


def test_many_writers_make_one_unbroken_log(open_audit: Opens[AuditLog]) -> None:
    failures: list[Exception] = []

    def write(number: int) -> None:
        try:
            for turn in range(15):
                with open_audit() as audit:
                    audit.append(actor=f"w{number}", act="row-read", subject="s", detail={"turn": turn})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_audit() as audit:
        entries = audit.entries(limit=1000)
        assert audit.verify().ok
    assert [e.index for e in entries] == list(range(90))
    for number in range(6):
        assert [e.detail["turn"] for e in entries if e.actor == f"w{number}"] == list(range(15))


def test_an_untouched_log_verifies(open_audit: Opens[AuditLog]) -> None:
    with open_audit() as audit:
        empty = audit.checkpoint()
    for size in (1, 4, 20):
        fill(open_audit, size)
        with open_audit() as audit:
            audit.checkpoint()
    with open_audit() as audit:
        report = audit.verify(checkpoints=[empty])
    assert report.ok
    assert report.first_break is None
    assert (report.size, report.checkpoints) == (25, 5)


HARM = {
    "flip": "UPDATE audit_entry SET text = replace(text, '\"n\":6', '\"n\":5') WHERE idx = 6",
    "flip-filing": "UPDATE audit_entry SET subject = 'another' WHERE idx = 6",
    "delete": "DELETE FROM audit_entry WHERE idx = 6",
    "delete-with-hashes": (
        "DELETE FROM audit_subtree WHERE last_leaf = 6; DELETE FROM audit_entry WHERE idx = 6"
    ),
    "garbage": "UPDATE audit_entry SET text = 'x' WHERE idx = 6",
    "reorder": (
        "UPDATE audit_entry SET idx = -1 WHERE idx = 6; UPDATE audit_entry SET idx = 6 WHERE idx = 9;"
        "UPDATE audit_entry SET idx = 9 WHERE idx = -1"
    ),
    "leaf-hash": "UPDATE audit_subtree SET hash = 'zz' WHERE last_leaf = 6 AND level = 0",
}


@pytest.mark.parametrize("harm", HARM)
def test_any_change_is_found_at_its_place(database: Database, open_audit: Opens[AuditLog], harm: str) -> None:
    fill(open_audit, 12)
    for statement in HARM[harm].split(";"):
        change(database, statement)
    with open_audit() as audit:
        assert audit.verify().first_break == 6


def test_a_changed_inner_hash_is_found(database: Database, open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 12)
    change(database, "UPDATE audit_subtree SET hash = substr(hash, 1, 62) || '00' WHERE level = 2")
    with open_audit() as audit:
        assert audit.verify().first_break == 3


def cut(database: Database, size: int) -> None:
    change(database, f"DELETE FROM audit_entry WHERE idx >= {size}")
    change(database, f"DELETE FROM audit_subtree WHERE last_leaf >= {size}")


def test_a_cut_end_is_found_by_its_hashes(database: Database, open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 12)
    change(database, "DELETE FROM audit_entry WHERE idx >= 9")
    with open_audit() as audit:
        assert audit.verify().first_break == 9


def test_a_cleanly_cut_end_is_found_by_a_stored_checkpoint(
    database: Database, open_audit: Opens[AuditLog]
) -> None:
    fill(open_audit, 12)
    with open_audit() as audit:
        audit.checkpoint()
    cut(database, 9)
    with open_audit() as audit:
        report = audit.verify()
    assert report.first_break == 9
    assert "12" in report.problems[0].what


def test_a_log_rewritten_with_its_checkpoints_is_found_by_one_kept_elsewhere(
    database: Database, open_audit: Opens[AuditLog]
) -> None:
    fill(open_audit, 12)
    with open_audit() as audit:
        kept = audit.checkpoint()
    cut(database, 9)
    change(database, "DELETE FROM audit_checkpoint")
    with open_audit() as audit:
        assert audit.verify().ok  # nothing inside tells
        assert audit.verify(checkpoints=[kept]).first_break == 9
    fill(open_audit, 5)  # a fork: same length and more, other content
    with open_audit() as audit:
        audit.checkpoint()
        assert audit.verify().ok
        report = audit.verify(checkpoints=[kept])
    assert not report.ok
    assert report.first_break == 0  # no earlier checkpoint narrows it down


def test_a_fork_is_narrowed_down_by_the_last_checkpoint_that_holds(
    database: Database, open_audit: Opens[AuditLog]
) -> None:
    fill(open_audit, 8)
    with open_audit() as audit:
        audit.checkpoint()
    fill(open_audit, 4)
    with open_audit() as audit:
        audit.checkpoint()
    cut(database, 9)
    fill(open_audit, 6)
    with open_audit() as audit:
        assert audit.verify().first_break == 8


def test_a_forged_checkpoint_is_found(database: Database, open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 3)
    with open_audit() as audit:
        audit.checkpoint()
    thief = database.opens(lambda c: AuditLog(store.SqlAuditStore(c), CLOCK, KeyRing.generate(), ORIGIN))
    with thief() as audit:
        audit.checkpoint()
    with open_audit() as audit:
        assert audit.verify().first_break == 3
    change(database, "UPDATE audit_checkpoint SET note = 'x' WHERE number = 2")
    with open_audit() as audit:
        assert not audit.verify().ok


def test_former_keys_are_known(database: Database, open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 3)
    with open_audit() as audit:
        audit.checkpoint()
    renewed = database.opens(lambda c: AuditLog(store.SqlAuditStore(c), CLOCK, KeyRing.generate(), ORIGIN))
    with renewed() as audit:
        assert not audit.verify().ok
        assert audit.verify(former_keys=[KEYS.signing_jwk()]).ok
        audit.checkpoint()
        assert audit.verify(former_keys=[KEYS.signing_jwk()]).checkpoints == 2


def test_appending_reads_and_writes_little(database: Database, open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 1023)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    with open_audit() as audit:
        audit.append(actor="a", act="row-read", subject="s")  # completes ten subtrees at once
        audit.receipt(500)
    assert len(statements) < 50


def test_a_lost_hash_says_what_to_do(database: Database, open_audit: Opens[AuditLog]) -> None:
    fill(open_audit, 3)
    change(database, "DELETE FROM audit_subtree WHERE last_leaf = 2")
    with open_audit() as audit, pytest.raises(Conflict, match="audit verify"):
        audit.append(actor="a", act="row-read", subject="s")
