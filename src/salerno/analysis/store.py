"""Studies, questions, runs and rounds in the node's database: the coordinator's tables and the agent's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.sql import literal

from salerno.analysis.model import AskedQuestion, QuestionState, Scope, Share, Study
from salerno.analysis.service.ports import AgentRound, AgentRun, Missing, Pending, RoundRecord, RunRecord
from salerno.holdings.model import Dictionary
from salerno.kernel.time import from_text, to_text
from salerno.kernel.values import from_json, to_json
from salerno.permits.model import DisclosurePolicy

metadata = MetaData()

_study = Table(
    "analysis_study",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False, index=True),
    Column("content", Text, nullable=False),
    Column("tokens", Text, nullable=False),
    Column("methods", Text, nullable=False),
)
_question = Table(
    "analysis_question",
    metadata,
    Column("id", Text, primary_key=True),
    Column("study", Text, nullable=False, index=True),
    Column("question", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_at", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("progress", Text, nullable=False),
)
_run = Table(
    "analysis_run",
    metadata,
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("holders", Text, nullable=False),
    Column("missing", Text, nullable=False),
    Column("scope", Text, nullable=False),
)
_opening = Table(
    "analysis_opening",
    metadata,
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("reply", Text, nullable=False),
)
Index("analysis_opening_todo", _opening.c.holder, _opening.c.state)
_round = Table(
    "analysis_round",
    metadata,
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("arrays", Text, nullable=False),
    Column("totals", LargeBinary),
)
_share = Table(
    "analysis_share",
    metadata,
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("header", Text, nullable=False),
    Column("words", LargeBinary),
)
Index("analysis_share_todo", _share.c.holder, _share.c.state)
_agent_run = Table(
    "analysis_agent_run",
    metadata,
    Column("coordinator", Text, primary_key=True),
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("opening", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("dictionary", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("permit_token", Text, nullable=False),
    Column("scope", Text, nullable=False),
)
_agent_round = Table(
    "analysis_agent_round",
    metadata,
    Column("coordinator", Text, primary_key=True),
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("content", Text, nullable=False),
    Column("header", Text, nullable=False),
    Column("words", LargeBinary, nullable=False),
    Column("arrays", Text, nullable=False),
    Column("totals", LargeBinary),
)

_WAITING, _ANSWERED, _CLOSED, _OPEN, _SUMMED = "waiting", "answered", "closed", "open", "summed"


class SqlHubStore:
    """The coordinator's store on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_study(self, study: Study, tokens: Sequence[str], methods: Sequence[str] | None) -> None:
        """Keep a study with its permits' credentials and the methods that all of them cover."""
        self._connection.execute(
            insert(_study).values(
                id=study.id,
                user_id=study.user,
                content=_text(study),
                tokens=_text(list(tokens)),
                methods=_text(None if methods is None else list(methods)),
            )
        )

    def study(self, study_id: str) -> Study | None:
        """One study."""
        text = self._connection.scalar(select(_study.c.content).where(_study.c.id == study_id))
        return None if text is None else from_json(text, Study, what="the study")

    def tokens(self, study_id: str) -> tuple[str, ...]:
        """The credentials of its permits."""
        text = self._connection.scalar(select(_study.c.tokens).where(_study.c.id == study_id))
        return from_json(text or "[]", tuple[str, ...], what="the permits")

    def methods(self, study_id: str) -> tuple[str, ...] | None:
        """Methods that all its permits cover; None means any."""
        text = self._connection.scalar(select(_study.c.methods).where(_study.c.id == study_id))
        listed: Any = from_json(text or "null", object, what="the methods")
        return None if listed is None else tuple(listed)

    def studies(self, user: str) -> list[Study]:
        """A user's studies, newest first."""
        rows = self._connection.scalars(
            select(_study.c.content).where(_study.c.user_id == user).order_by(_study.c.id.desc())
        )
        return [from_json(text, Study, what="the study") for text in rows]

    def add_question(self, question: AskedQuestion) -> None:
        """Keep a new question."""
        self._connection.execute(
            insert(_question).values(
                id=question.id,
                study=question.study,
                question=_text(question.question),
                state=question.state.value,
                asked_at=to_text(question.asked_at),
                started_at="",
                answer="null",
                error="null",
                progress=question.progress,
            )
        )

    def question(self, question_id: str) -> AskedQuestion | None:
        """One question."""
        row = self._connection.execute(select(_question).where(_question.c.id == question_id)).one_or_none()
        return None if row is None else _asked(row)

    def questions(self, study_id: str) -> list[AskedQuestion]:
        """A study's questions, oldest first."""
        rows = self._connection.execute(
            select(_question).where(_question.c.study == study_id).order_by(_question.c.id)
        )
        return [_asked(row) for row in rows]

    def start_question(self, question_id: str, at: datetime) -> datetime:
        """Mark it running; returns when it was first started."""
        began = self._connection.scalar(select(_question.c.started_at).where(_question.c.id == question_id))
        if began:
            return from_text(began)
        self._update_question(question_id, state=QuestionState.RUNNING.value, started_at=to_text(at))
        return at

    def set_progress(self, question_id: str, progress: str) -> None:
        """Say where it stands."""
        self._update_question(question_id, progress=progress)

    def end_question(
        self,
        question_id: str,
        state: QuestionState,
        *,
        answer: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """Store its answer or error, and close what is still open of it."""
        self._update_question(
            question_id, state=state.value, answer=_text(answer), error=_text(error), progress=""
        )
        self._close(question_id)

    def add_run(self, run: RunRecord, openings: Mapping[str, str]) -> None:
        """Start a run, close the ones before, and ask each holder with its signed opening."""
        self._close(run.question_id)
        self._connection.execute(
            insert(_run).values(
                question_id=run.question_id,
                run=run.run,
                holders=_text(run.holders),
                missing=_text(run.missing),
                scope="null",
            )
        )
        key = {"question_id": run.question_id, "run": run.run, "state": _WAITING, "reply": ""}
        rows = [{**key, "holder": holder, "token": token} for holder, token in openings.items()]
        self._connection.execute(insert(_opening), rows)

    def run(self, question_id: str) -> RunRecord | None:
        """The latest run."""
        row = self._connection.execute(
            select(_run).where(_run.c.question_id == question_id).order_by(_run.c.run.desc()).limit(1)
        ).one_or_none()
        if row is None:
            return None
        return RunRecord(
            question_id=row.question_id,
            run=row.run,
            holders=from_json(row.holders, tuple[str, ...], what="the holders"),
            missing=from_json(row.missing, tuple[Missing, ...], what="the missing holders"),
            scope=_scope(row.scope),
        )

    def agree(self, run: RunRecord) -> None:
        """Keep a run's scope and final holders; holders that did not open are closed."""
        self._connection.execute(
            update(_run)
            .where(_run.c.question_id == run.question_id, _run.c.run == run.run)
            .values(holders=_text(run.holders), missing=_text(run.missing), scope=_text(run.scope))
        )
        self._close(run.question_id)

    def opening(self, question_id: str, run: int, holder: str) -> tuple[str, str] | None:
        """A holder's opening and its signed reply, which is empty before it came."""
        row = self._connection.execute(
            select(_opening.c.token, _opening.c.reply).where(
                _opening.c.question_id == question_id, _opening.c.run == run, _opening.c.holder == holder
            )
        ).one_or_none()
        return None if row is None else (row.token, row.reply)

    def replies(self, question_id: str, run: int) -> dict[str, str]:
        """Signed replies to a run's openings by holder."""
        rows = self._connection.execute(
            select(_opening.c.holder, _opening.c.reply).where(
                _opening.c.question_id == question_id, _opening.c.run == run, _opening.c.state == _ANSWERED
            )
        )
        return {row.holder: row.reply for row in rows}

    def put_reply(self, question_id: str, run: int, holder: str, reply: str) -> None:
        """Keep a holder's reply."""
        self._connection.execute(
            update(_opening)
            .where(_opening.c.question_id == question_id, _opening.c.run == run, _opening.c.holder == holder)
            .values(reply=reply, state=_ANSWERED)
        )

    def add_round(self, question_id: str, run: int, round: int, token: str, holders: Sequence[str]) -> None:
        """Open a round."""
        key = {"question_id": question_id, "run": run, "round": round}
        self._connection.execute(insert(_round).values(**key, state=_OPEN, token=token, arrays="[]"))
        rows = [{**key, "holder": holder, "state": _WAITING, "header": ""} for holder in holders]
        self._connection.execute(insert(_share), rows)

    def last_round(self, question_id: str, run: int) -> RoundRecord | None:
        """The latest round of a run."""
        row = self._connection.execute(
            select(_round.c.round, _round.c.token, _round.c.state)
            .where(_round.c.question_id == question_id, _round.c.run == run)
            .order_by(_round.c.round.desc())
            .limit(1)
        ).one_or_none()
        return None if row is None else RoundRecord(round=row.round, token=row.token, state=row.state)

    def put_totals(self, question_id: str, run: int, round: int, arrays: str, words: bytes) -> None:
        """Keep the added words of a round and mark it summed."""
        self._connection.execute(
            update(_round)
            .where(_round.c.question_id == question_id, _round.c.run == run, _round.c.round == round)
            .values(state=_SUMMED, arrays=arrays, totals=words)
        )

    def totals(self, question_id: str, run: int) -> list[tuple[str, bytes]]:
        """Layout and added words of the summed rounds, in order."""
        rows = self._connection.execute(
            select(_round.c.arrays, _round.c.totals)
            .where(_round.c.question_id == question_id, _round.c.run == run, _round.c.state == _SUMMED)
            .order_by(_round.c.round)
        )
        return [(row.arrays, bytes(row.totals)) for row in rows]

    def put_share(self, question_id: str, run: int, round: int, holder: str, share: Share) -> None:
        """Keep a share as it came."""
        self._connection.execute(
            update(_share)
            .where(
                _share.c.question_id == question_id,
                _share.c.run == run,
                _share.c.round == round,
                _share.c.holder == holder,
            )
            .values(header=share.header, words=share.words, state=_ANSWERED)
        )

    def share(self, question_id: str, run: int, round: int, holder: str) -> Share | None:
        """A holder's share."""
        row = self._connection.execute(
            select(_share.c.header, _share.c.words).where(
                _share.c.question_id == question_id,
                _share.c.run == run,
                _share.c.round == round,
                _share.c.holder == holder,
                _share.c.state == _ANSWERED,
            )
        ).one_or_none()
        return None if row is None else Share(header=row.header, words=bytes(row.words))

    def shares(self, question_id: str, run: int, round: int) -> dict[str, Share]:
        """All shares of a round that have come, by holder."""
        rows = self._connection.execute(
            select(_share.c.holder, _share.c.header, _share.c.words).where(
                _share.c.question_id == question_id,
                _share.c.run == run,
                _share.c.round == round,
                _share.c.state == _ANSWERED,
            )
        )
        return {row.holder: Share(header=row.header, words=bytes(row.words)) for row in rows}

    def headers(self, question_id: str, run: int, round: int) -> dict[str, str]:
        """Signed headers of the shares that have come, by holder."""
        rows = self._connection.execute(
            select(_share.c.holder, _share.c.header).where(
                _share.c.question_id == question_id,
                _share.c.run == run,
                _share.c.round == round,
                _share.c.state == _ANSWERED,
            )
        )
        return {row.holder: row.header for row in rows}

    def waiting_for(self, question_id: str) -> tuple[str, ...]:
        """Holders that have not yet replied in the question's open step."""
        parts = [
            select(t.c.holder).where(t.c.question_id == question_id, t.c.state == _WAITING)
            for t in (_opening, _share)
        ]
        return tuple(sorted(set(self._connection.scalars(union_all(*parts)))))

    def pending(self, holder: str) -> list[Pending]:
        """What a holder has to do, oldest first."""
        openings = select(
            _opening.c.question_id, _opening.c.run, literal(0).label("round"), _opening.c.token
        ).where(_opening.c.holder == holder, _opening.c.state == _WAITING)
        rounds = (
            select(_share.c.question_id, _share.c.run, _share.c.round, _round.c.token)
            .join(
                _round,
                (_round.c.question_id == _share.c.question_id)
                & (_round.c.run == _share.c.run)
                & (_round.c.round == _share.c.round),
            )
            .where(_share.c.holder == holder, _share.c.state == _WAITING)
        )
        rows = self._connection.execute(union_all(openings, rounds)).all()
        listed = [Pending(question_id=r[0], run=r[1], round=r[2], token=r[3]) for r in rows]
        return sorted(listed, key=lambda p: (p.question_id, p.run, p.round))

    def _update_question(self, question_id: str, **values: str) -> None:
        self._connection.execute(update(_question).where(_question.c.id == question_id).values(**values))

    def _close(self, question_id: str) -> None:
        """Nothing more is awaited of what is open; what comes now is late."""
        for table, state in ((_opening, _WAITING), (_share, _WAITING), (_round, _OPEN)):
            self._connection.execute(
                update(table)
                .where(table.c.question_id == question_id, table.c.state == state)
                .values(state=_CLOSED)
            )


class SqlAgentStore:
    """The agent's store on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, coordinator: str, question_id: str, run: int) -> AgentRun | None:
        """One run."""
        row = self._connection.execute(
            select(_agent_run).where(*_of(_agent_run, coordinator, question_id, run))
        ).one_or_none()
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
            scope=_scope(row.scope),
        )

    def add_run(self, run: AgentRun) -> None:
        """Keep an opened run."""
        self._connection.execute(
            insert(_agent_run).values(
                coordinator=run.coordinator,
                question_id=run.question_id,
                run=run.run,
                opening=run.opening,
                reply=run.reply,
                dictionary=_text(run.dictionary),
                policy=_text(run.policy),
                permit_token=run.permit_token,
                scope=_text(run.scope),
            )
        )

    def set_scope(self, coordinator: str, question_id: str, run: int, scope: Scope) -> None:
        """Keep what all agreed on."""
        self._connection.execute(
            update(_agent_run)
            .where(*_of(_agent_run, coordinator, question_id, run))
            .values(scope=_text(scope))
        )

    def rounds(self, coordinator: str, question_id: str, run: int) -> list[AgentRound]:
        """The answered rounds of a run, in order."""
        rows = self._connection.execute(
            select(_agent_round)
            .where(*_of(_agent_round, coordinator, question_id, run))
            .order_by(_agent_round.c.round)
        )
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
        self._connection.execute(
            insert(_agent_round).values(
                coordinator=coordinator,
                question_id=question_id,
                run=run,
                round=round.round,
                content=round.content,
                header=round.share.header,
                words=round.share.words,
                arrays=round.arrays,
                totals=round.totals,
            )
        )

    def set_totals(self, coordinator: str, question_id: str, run: int, round: int, totals: bytes) -> None:
        """Keep the totals of a round."""
        self._connection.execute(
            update(_agent_round)
            .where(*_of(_agent_round, coordinator, question_id, run), _agent_round.c.round == round)
            .values(totals=totals)
        )


def _of(table: Table, coordinator: str, question_id: str, run: int) -> tuple[Any, ...]:
    return (table.c.coordinator == coordinator, table.c.question_id == question_id, table.c.run == run)


def _asked(row: Row[Any]) -> AskedQuestion:
    return AskedQuestion(
        id=row.id,
        study=row.study,
        question=from_json(row.question, dict[str, Any], what="the question"),
        state=QuestionState(row.state),
        asked_at=from_text(row.asked_at),
        answer=_optional(row.answer),
        error=_optional(row.error),
        progress=row.progress,
    )


def _optional(text: str) -> dict[str, Any] | None:
    return None if text == "null" else from_json(text, dict[str, Any], what="the stored value")


def _scope(text: str) -> Scope | None:
    return None if text == "null" else from_json(text, Scope, what="the scope")


def _text(value: Any) -> str:
    return to_json(value).decode()
