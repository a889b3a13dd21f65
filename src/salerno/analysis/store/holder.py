"""What a holder's agent opened and answered, in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from salerno.analysis.model import Scope, Share
from salerno.analysis.service.records import AgentRound, AgentRun
from salerno.analysis.store import tables as t
from salerno.analysis.store.texts import parse_scope, text
from salerno.holdings.model import Dictionary
from salerno.kernel.values import from_json
from salerno.permits.model import DisclosurePolicy


def _of(table: Table) -> tuple[Any, ...]:
    names = ("coordinator", "question_id", "run")
    return tuple(table.c[name] == bindparam(f"of_{name}") for name in names)


# Built once: building a statement takes several times as long as running it.
_RUN = select(t.agent_run).where(*_of(t.agent_run))
_SET_SCOPE = update(t.agent_run).where(*_of(t.agent_run)).values(scope=bindparam("agreed"))
_ROUNDS = select(t.agent_round).where(*_of(t.agent_round)).order_by(t.agent_round.c.round)
_ADD_ROUND = insert(t.agent_round)
_SET_TOTALS = (
    update(t.agent_round)
    .where(*_of(t.agent_round), t.agent_round.c.round == bindparam("of_round"))
    .values(totals=bindparam("summed"))
)


class SqlAgentStore:
    """The agent's store on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, coordinator: str, question_id: str, run: int) -> AgentRun | None:
        """One run."""
        row = self._connection.execute(_RUN, _key(coordinator, question_id, run)).one_or_none()
        if row is None:
            return None
        return AgentRun(
            coordinator=row.coordinator,
            question_id=row.question_id,
            run=row.run,
            opening=row.opening,
            reply=row.reply,
            dictionary=from_json(row.dictionary, Dictionary, what="the dictionary"),
            policy=from_json(row.policy, DisclosurePolicy, what="the policy"),
            permit_token=row.permit_token,
            scope=parse_scope(row.scope),
        )

    def add_run(self, run: AgentRun) -> None:
        """Keep an opened run."""
        self._connection.execute(
            insert(t.agent_run).values(
                coordinator=run.coordinator,
                question_id=run.question_id,
                run=run.run,
                opening=run.opening,
                reply=run.reply,
                dictionary=text(run.dictionary),
                policy=text(run.policy),
                permit_token=run.permit_token,
                scope=text(run.scope),
            )
        )

    def set_scope(self, coordinator: str, question_id: str, run: int, scope: Scope) -> None:
        """Keep what all agreed on."""
        key = _key(coordinator, question_id, run)
        self._connection.execute(_SET_SCOPE, {**key, "agreed": text(scope)})

    def rounds(self, coordinator: str, question_id: str, run: int) -> list[AgentRound]:
        """The answered rounds of a run, in order."""
        rows = self._connection.execute(_ROUNDS, _key(coordinator, question_id, run))
        return [
            AgentRound(
                round=row.round,
                content=row.content,
                share=Share(header=row.header, words=bytes(row.words)),
                arrays=row.arrays,
                totals=None if row.totals is None else bytes(row.totals),
            )
            for row in rows
        ]

    def add_round(self, coordinator: str, question_id: str, run: int, round: AgentRound) -> None:
        """Keep an answered round."""
        values = {
            "coordinator": coordinator,
            "question_id": question_id,
            "run": run,
            "round": round.round,
            "content": round.content,
            "header": round.share.header,
            "words": round.share.words,
            "arrays": round.arrays,
            "totals": round.totals,
        }
        self._connection.execute(_ADD_ROUND, values)

    def set_totals(self, coordinator: str, question_id: str, run: int, round: int, totals: bytes) -> None:
        """Keep the totals of a round."""
        key = _key(coordinator, question_id, run)
        self._connection.execute(_SET_TOTALS, {**key, "of_round": round, "summed": totals})


def _key(coordinator: str, question_id: str, run: int) -> dict[str, Any]:
    return {"of_coordinator": coordinator, "of_question_id": question_id, "of_run": run}
