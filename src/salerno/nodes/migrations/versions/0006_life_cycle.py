"""What happened to a case as events, lists that need not read whole cases, and one status per country."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_CASE = sa.table(
    "permits_case", *(sa.column(name) for name in ("id", "state", "value", "kind", "applicant", "title",
    "words", "open", "turn", "proposed", "assignee", "due", "submitted_at", "updated_at", "countries"))
)  # fmt: skip
_DECISION = sa.table("permits_decision", *(sa.column(name) for name in ("case_id", "number", "value")))
_TEXTS = ("kind", "applicant", "title", "words", "turn", "assignee", "due", "submitted_at", "updated_at",
          "countries")  # fmt: skip
_OUTCOMES = {"granted": "full", "refused": "refusal"}
_TURNS = {"decided": "", "withdrawn": "", "draft": "applicant", "awaiting-information": "applicant"}


def upgrade() -> None:
    """Make the tables, and bring stored cases to their shape."""
    with op.batch_alter_table("permits_case") as batch:
        for name in _TEXTS:
            batch.add_column(sa.Column(name, sa.Text(), nullable=False, server_default=""))
        for name in ("open", "proposed"):
            batch.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "permits_case_board", "permits_case", ["open", "due", "id", "assignee", "proposed", "state"]
    )
    op.create_index("permits_case_closed", "permits_case", ["open", "updated_at", "id"])
    op.create_index("permits_case_submitted", "permits_case", ["submitted_at", "id"])
    op.create_table(
        "permits_event",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["permits_case.id"]),
        sa.PrimaryKeyConstraint("case_id", "number"),
    )
    connection = op.get_bind()
    decisions = connection.execute(sa.text("SELECT case_id, decided_at, value FROM permits_decision")).all()
    op.drop_table("permits_decision")
    op.create_table(
        "permits_decision",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("decided_at", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["permits_case.id"]),
        sa.PrimaryKeyConstraint("case_id", "number"),
    )
    for row in decisions:
        values = {"case_id": row.case_id, "at": row.decided_at, "value": json.dumps(_decision(row.value))}
        connection.execute(
            sa.text("INSERT INTO permits_decision (case_id, number, decided_at, value) "
                    "VALUES (:case_id, 1, :at, :value)"), values)  # fmt: skip
    for row in connection.execute(sa.select(_CASE.c.id, _CASE.c.value)).all():
        connection.execute(sa.update(_CASE).where(_CASE.c.id == row.id).values(**_columns(row.value)))


def _columns(stored: str) -> dict[str, Any]:
    case = _case(json.loads(stored))
    asked, countries = case["application"], case["countries"]
    due = min((s["due"] for s in countries.values() if s.get("due")), default="9999-12-31")
    state = case["state"]
    return {
        "kind": "application",
        "applicant": asked["applicant"],
        "title": asked["title"],
        "words": f"{asked['title']}\n{asked['applicant']}\n{case['id']}".casefold(),
        "state": state,
        "open": int(state not in ("decided", "withdrawn")),
        "turn": _TURNS.get(state, "access body"),
        "proposed": 0,
        "assignee": "",
        "due": due,
        "submitted_at": case.get("submitted_at") or "",
        "updated_at": case.get("submitted_at") or case["created_at"],
        "countries": json.dumps(countries),
        "value": json.dumps(case),
    }


def _case(case: dict[str, Any]) -> dict[str, Any]:
    facts = {
        name: case.pop(name, {}) for name in ("permit_ids", "reasons", "due", "decided_at", "status_versions")
    }
    countries = {}
    for country, state in case["countries"].items():
        status = {
            "state": "decided" if state in _OUTCOMES else state,
            "version": facts["status_versions"].get(country, 0),
            "outcome": _OUTCOMES.get(state),
            "due": facts["due"].get(country),
            "decided_at": facts["decided_at"].get(country),
            "permit_id": facts["permit_ids"].get(country, ""),
        }
        reason = facts["reasons"].get(country, "")
        if state == "awaiting-information":
            status["asked"] = {
                "question": reason, "asked_at": case.get("submitted_at") or case["created_at"],
            }  # fmt: skip
        else:
            status["reason"] = reason
        countries[country] = {name: value for name, value in status.items() if value not in (None, "")}
    case["countries"] = countries
    if case["state"] in _OUTCOMES:
        case["state"] = "decided"
    return case


def _decision(stored: str) -> dict[str, Any]:
    decision: dict[str, Any] = json.loads(stored)
    state = decision.pop("state")
    return decision | {
        "number": 1,
        "outcome": _OUTCOMES.get(state, "refusal"),
        "confirmed_by": decision["officer"],
    }
