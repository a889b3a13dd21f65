"""What may be logged, and receipts checked without the node."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.audit import store
from salerno.audit.model import Entry, Receipt
from salerno.audit.rules import check_act, check_detail, read_entry, render_entry, verify_receipt
from salerno.audit.service import AuditLog
from salerno.kernel.errors import Invalid, Refused, SalernoError
from salerno.kernel.values import from_json, to_json

KEYS = KeyRing.generate()
JWK = KEYS.signing_jwk()
NOW = datetime(2031, 1, 1, tzinfo=UTC)
ORIGIN = "fr.example/audit"


def make_log(count: int, keys: KeyRing = KEYS, origin: str = ORIGIN) -> Database:
    database = Database("sqlite://")
    with database.transaction() as connection:
        store.metadata.create_all(connection)
        log = AuditLog(store.SqlAuditStore(connection), FixedClock(NOW), keys, origin)
        for number in range(count):
            log.append(actor="a", act="row-read", subject="s", detail={"n": number})
    return database


def receipt_of(index: int, count: int = 11, **changes: Any) -> Receipt:
    with make_log(count, **changes).transaction() as connection:
        keys = changes.get("keys", KEYS)
        origin = changes.get("origin", ORIGIN)
        return AuditLog(store.SqlAuditStore(connection), FixedClock(NOW), keys, origin).receipt(index)


@pytest.mark.parametrize("act", ["permit-issued", "view-opened", "log-in-refused", "round-2-answered"])
def test_acts_are_words_with_hyphens(act: str) -> None:
    check_act(act)


@pytest.mark.parametrize("act", ["", "permit", "Permit-issued", "permit issued", "permit-", "-x", "permit_x"])
def test_other_words_are_no_acts(act: str) -> None:
    with pytest.raises(Invalid):
        check_act(act)


def test_details_are_flat_facts() -> None:
    given = {"a": "x", "b": 1, "c": 0.5, "d": True, "e": ["x", "y"], "f": ("z",)}
    assert check_detail(given) == {"a": "x", "b": 1, "c": 0.5, "d": True, "e": ["x", "y"], "f": ["z"]}


@pytest.mark.parametrize(
    "detail",
    [
        {"a": None},
        {"a": {"name": "x"}},
        {"a": [1]},
        {"a": [["x"]]},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": b"x"},
        {"a": NOW},
        {"Name": "x"},
        {"a b": "x"},
        {3: "x"},
    ],
)
def test_records_and_odd_values_do_not_slip_in(detail: dict[Any, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        check_detail(detail)
    assert "'x'" not in str(caught.value)


def test_an_entry_has_a_bound() -> None:
    with pytest.raises(Invalid):
        render_entry(Entry(index=0, at=NOW, actor="a", act="x-y", subject="x" * 20_000))


TEXT = st.text(max_size=20)
DETAIL = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    TEXT | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
    | st.lists(TEXT, max_size=3),
    max_size=4,
)  # fmt: skip


@given(
    st.builds(
        Entry,
        index=st.integers(0, 2**40),
        at=st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),
        actor=TEXT,
        act=st.just("row-read"),
        subject=TEXT,
        rule=TEXT,
        detail=DETAIL,
    )
)
def test_what_is_rendered_reads_back(entry: Entry) -> None:
    assert read_entry(render_entry(entry)) == entry


@pytest.mark.parametrize("index", [0, 5, 10])
def test_a_receipt_survives_json_and_needs_no_node(index: int) -> None:
    receipt = from_json(to_json(receipt_of(index)), Receipt, what="the receipt")
    entry = verify_receipt(receipt, JWK, origin=ORIGIN)
    assert (entry.index, entry.detail) == (index, {"n": index})


def flip(text: str) -> str:
    data = bytearray(b64decode(text))
    data[0] ^= 1
    return b64encode(bytes(data)).decode()


RECEIPT = receipt_of(5)


@pytest.mark.parametrize(
    "forged",
    [
        replace(RECEIPT, entry=RECEIPT.entry.replace('"n":5', '"n":6')),
        replace(RECEIPT, entry=RECEIPT.entry + " "),
        replace(RECEIPT, entry="x"),
        replace(RECEIPT, index=4),
        replace(RECEIPT, index=-1),
        replace(RECEIPT, index=99),
        replace(RECEIPT, proof=RECEIPT.proof[:-1]),
        replace(RECEIPT, proof=(*RECEIPT.proof, RECEIPT.proof[0])),
        replace(RECEIPT, proof=(flip(RECEIPT.proof[0]), *RECEIPT.proof[1:])),
        replace(RECEIPT, proof=("é",)),
        replace(RECEIPT, checkpoint=receipt_of(5, count=12).checkpoint),
        replace(RECEIPT, checkpoint=RECEIPT.checkpoint.replace("\n11\n", "\n12\n")),
        replace(RECEIPT, checkpoint=""),
        receipt_of(5, keys=KeyRing.generate()),
        receipt_of(5, origin="de.example/audit"),
    ],
)
def test_a_forged_receipt_is_found(forged: Receipt) -> None:
    with pytest.raises(SalernoError):
        verify_receipt(forged, JWK, origin=ORIGIN)


def test_another_key_does_not_vouch() -> None:
    with pytest.raises(Refused):
        verify_receipt(RECEIPT, KeyRing.generate().signing_jwk())
