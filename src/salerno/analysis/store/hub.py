"""The coordinator's studies, questions, runs, rounds and shares in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, insert, select, union_all, update
from sqlalchemy.sql import literal

from salerno.analysis.model import AskedQuestion, QuestionState, Share, Study
from salerno.analysis.service.records import Missing, Pending, RoundRecord, RunRecord
from salerno.analysis.store import tables as t
from salerno.analysis.store.texts import parse_scope, text
from salerno.kernel.time import from_text, to_text
from salerno.kernel.values import from_json

_WAITING, _ANSWERED, _CLOSED, _OPEN, _SUMMED = "waiting", "answered", "closed", "open", "summed"

_STEP, _ROUND = ("question_id", "run"), ("question_id", "run", "round")


def _of(table: Table, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(table.c[name] == bindparam(f"of_{name}") for name in names)


_SAME_RUN = (t.run.c.question_id == t.opening.c.question_id) & (t.run.c.run == t.opening.c.run)

# What every round needs is built once: building a statement takes several times as long as running it.
_QUESTION = select(t.question).where(t.question.c.id == bindparam("of_id"))
_SET_PROGRESS = (
    update(t.question).where(t.question.c.id == bindparam("of_id")).values(progress=bindparam("says"))
)
_PUT_REPLY = (
    update(t.opening)
    .where(
        *_of(t.opening, _STEP),
        t.opening.c.holder == bindparam("of_holder"),
        t.opening.c.state == _WAITING,
    )
    .values(state=_ANSWERED, reply=bindparam("came"))
)
_ADD_ROUND, _ADD_SHARE = insert(t.round_), insert(t.share)
_LAST_ROUND = (
    select(t.round_.c.round, t.round_.c.token, t.round_.c.state)
    .where(*_of(t.round_, _STEP))
    .order_by(t.round_.c.round.desc())
    .limit(1)
)
_PUT_TOTALS = (
    update(t.round_)
    .where(*_of(t.round_, _ROUND))
    .values(state=_SUMMED, arrays=bindparam("layout"), totals=bindparam("summed"))
)
_PUT_SHARE = (
    update(t.share)
    .where(*_of(t.share, _ROUND), t.share.c.holder == bindparam("of_holder"), t.share.c.state == _WAITING)
    .values(state=_ANSWERED, header=bindparam("signed"), words=bindparam("sums"))
)
_SHARES = select(t.share.c.holder, t.share.c.header, t.share.c.words).where(
    *_of(t.share, _ROUND), t.share.c.state == _ANSWERED
)
_SHARE = _SHARES.where(t.share.c.holder == bindparam("of_holder"))
_HEADERS = select(t.share.c.holder, t.share.c.header).where(
    *_of(t.share, _ROUND), t.share.c.state == _ANSWERED
)


class SqlHubStore:
    """The coordinator's store on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_study(self, study: Study, tokens: Sequence[str], methods: Sequence[str] | None) -> None:
        """Keep a study with its permits' credentials and the methods that all of them cover."""
        self._connection.execute(
            insert(t.study).values(
                id=study.id,
                user_id=study.user,
                content=text(study),
                tokens=text(list(tokens)),
                methods=text(None if methods is None else list(methods)),
            )
        )

    def study(self, study_id: str) -> Study | None:
        """One study."""
        found = self._connection.scalar(select(t.study.c.content).where(t.study.c.id == study_id))
        return None if found is None else from_json(found, Study, what="the study")

    def tokens(self, study_id: str) -> tuple[str, ...]:
        """The credentials of its permits."""
        found = self._connection.scalar(select(t.study.c.tokens).where(t.study.c.id == study_id))
        return from_json(found or "[]", tuple[str, ...], what="the permits")

    def methods(self, study_id: str) -> tuple[str, ...] | None:
        """Methods that all its permits cover; None means any."""
        found = self._connection.scalar(select(t.study.c.methods).where(t.study.c.id == study_id))
        listed: Any = from_json(found or "null", object, what="the methods")
        return None if listed is None else tuple(listed)

    def studies(self, user: str) -> list[Study]:
        """A user's studies, newest first."""
        rows = self._connection.scalars(
            select(t.study.c.content).where(t.study.c.user_id == user).order_by(t.study.c.id.desc())
        )
        found = [from_json(row, Study, what="the study") for row in rows]
        # An identifier out of a user's key does not tell when it was made.
        return sorted(found, key=lambda study: study.created_at, reverse=True)

    def add_question(self, question: AskedQuestion) -> None:
        """Keep a new question."""
        self._connection.execute(
            insert(t.question).values(
                id=question.id,
                study=question.study,
                question=text(question.question),
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
        row = self._connection.execute(_QUESTION, {"of_id": question_id}).one_or_none()
        return None if row is None else _asked(row)

    def questions(self, study_id: str) -> list[AskedQuestion]:
        """A study's questions, oldest first."""
        rows = self._connection.execute(
            select(t.question)
            .where(t.question.c.study == study_id)
            .order_by(t.question.c.asked_at, t.question.c.id)
        )
        return [_asked(row) for row in rows]

    def start_question(self, question_id: str, at: datetime) -> datetime:
        """Mark it running; returns when it was first started."""
        began = self._connection.scalar(select(t.question.c.started_at).where(t.question.c.id == question_id))
        if began:
            return from_text(began)
        self._update_question(question_id, state=QuestionState.RUNNING.value, started_at=to_text(at))
        return at

    def set_progress(self, question_id: str, progress: str) -> None:
        """Say where it stands."""
        self._connection.execute(_SET_PROGRESS, {"of_id": question_id, "says": progress})

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
            question_id, state=state.value, answer=text(answer), error=text(error), progress=""
        )
        self._close(question_id)

    def add_run(self, run: RunRecord, opening: str) -> None:
        """Start a run, close the ones before, and ask its holders with the signed opening."""
        self._close(run.question_id)
        self._connection.execute(
            insert(t.run).values(
                question_id=run.question_id,
                run=run.run,
                holders=text(run.holders),
                missing=text(run.missing),
                scope="null",
                opening=opening,
            )
        )
        key = {"question_id": run.question_id, "run": run.run, "state": _WAITING, "reply": ""}
        rows = [{**key, "holder": holder} for holder in run.holders]
        self._connection.execute(insert(t.opening), rows)

    def run(self, question_id: str) -> RunRecord | None:
        """The latest run."""
        row = self._connection.execute(
            select(t.run).where(t.run.c.question_id == question_id).order_by(t.run.c.run.desc()).limit(1)
        ).one_or_none()
        if row is None:
            return None
        return RunRecord(
            question_id=row.question_id,
            run=row.run,
            holders=from_json(row.holders, tuple[str, ...], what="the holders"),
            missing=from_json(row.missing, tuple[Missing, ...], what="the missing holders"),
            scope=parse_scope(row.scope),
        )

    def agree(self, run: RunRecord) -> None:
        """Keep a run's scope and final holders; holders that did not open are closed."""
        self._connection.execute(
            update(t.run)
            .where(t.run.c.question_id == run.question_id, t.run.c.run == run.run)
            .values(holders=text(run.holders), missing=text(run.missing), scope=text(run.scope))
        )
        self._close(run.question_id)

    def opening(self, question_id: str, run: int, holder: str) -> tuple[str, str] | None:
        """A holder's opening and its signed reply, which is empty before it came."""
        row = self._connection.execute(
            select(t.run.c.opening, t.opening.c.reply)
            .join(t.run, _SAME_RUN)
            .where(
                t.opening.c.question_id == question_id, t.opening.c.run == run, t.opening.c.holder == holder
            )
        ).one_or_none()
        return None if row is None else (row.opening, row.reply)

    def replies(self, question_id: str, run: int) -> dict[str, str]:
        """Signed replies to a run's openings by holder."""
        rows = self._connection.execute(
            select(t.opening.c.holder, t.opening.c.reply).where(
                t.opening.c.question_id == question_id, t.opening.c.run == run, t.opening.c.state == _ANSWERED
            )
        )
        return {row.holder: row.reply for row in rows}

    def put_replies(self, question_id: str, run: int, replies: Mapping[str, str]) -> None:
        """Keep holders' replies to a run's openings; those that have come before count."""
        if replies:
            key = _step(question_id, run)
            rows = [{**key, "of_holder": holder, "came": reply} for holder, reply in replies.items()]
            self._connection.execute(_PUT_REPLY, rows)

    def add_round(self, question_id: str, run: int, round: int, token: str, holders: Sequence[str]) -> None:
        """Open a round."""
        key = {"question_id": question_id, "run": run, "round": round}
        self._connection.execute(_ADD_ROUND, {**key, "state": _OPEN, "token": token, "arrays": "[]"})
        rows = [{**key, "holder": holder, "state": _WAITING, "header": ""} for holder in holders]
        self._connection.execute(_ADD_SHARE, rows)

    def last_round(self, question_id: str, run: int) -> RoundRecord | None:
        """The latest round of a run."""
        row = self._connection.execute(_LAST_ROUND, _step(question_id, run)).one_or_none()
        return None if row is None else RoundRecord(round=row.round, token=row.token, state=row.state)

    def put_totals(self, question_id: str, run: int, round: int, arrays: str, words: bytes) -> None:
        """Keep the added words of a round and mark it summed."""
        key = _step(question_id, run, round)
        self._connection.execute(_PUT_TOTALS, {**key, "layout": arrays, "summed": words})

    def totals(self, question_id: str, run: int) -> list[tuple[str, bytes]]:
        """Layout and added words of the summed rounds, in order."""
        rows = self._connection.execute(
            select(t.round_.c.arrays, t.round_.c.totals)
            .where(t.round_.c.question_id == question_id, t.round_.c.run == run, t.round_.c.state == _SUMMED)
            .order_by(t.round_.c.round)
        )
        return [(row.arrays, bytes(row.totals)) for row in rows]

    def put_shares(self, question_id: str, run: int, round: int, shares: Mapping[str, Share]) -> None:
        """Keep shares by holder as they came; of whom none is awaited in this round, nothing is kept."""
        if shares:
            key = _step(question_id, run, round)
            rows = [
                {**key, "of_holder": did, "signed": share.header, "sums": share.words}
                for did, share in shares.items()
            ]
            self._connection.execute(_PUT_SHARE, rows)

    def share(self, question_id: str, run: int, round: int, holder: str) -> Share | None:
        """A holder's share."""
        key = {**_step(question_id, run, round), "of_holder": holder}
        row = self._connection.execute(_SHARE, key).one_or_none()
        return None if row is None else Share(header=row.header, words=bytes(row.words))

    def shares(self, question_id: str, run: int, round: int) -> dict[str, Share]:
        """All shares of a round that have come, by holder."""
        rows = self._connection.execute(_SHARES, _step(question_id, run, round))
        return {row.holder: Share(header=row.header, words=bytes(row.words)) for row in rows}

    def headers(self, question_id: str, run: int, round: int) -> dict[str, str]:
        """Signed headers of the shares that have come, by holder."""
        rows = self._connection.execute(_HEADERS, _step(question_id, run, round))
        return {row.holder: row.header for row in rows}

    def waiting_for(self, question_id: str) -> tuple[str, ...]:
        """Holders that have not yet replied in the question's open step."""
        parts = [
            select(table.c.holder).where(table.c.question_id == question_id, table.c.state == _WAITING)
            for table in (t.opening, t.share)
        ]
        return tuple(sorted(set(self._connection.scalars(union_all(*parts)))))

    def pending(self, holder: str) -> list[Pending]:
        """What a holder has to do, oldest first."""
        openings = (
            select(t.opening.c.question_id, t.opening.c.run, literal(0).label("round"), t.run.c.opening)
            .join(t.run, _SAME_RUN)
            .where(t.opening.c.holder == holder, t.opening.c.state == _WAITING)
        )
        rounds = (
            select(t.share.c.question_id, t.share.c.run, t.share.c.round, t.round_.c.token)
            .join(
                t.round_,
                (t.round_.c.question_id == t.share.c.question_id)
                & (t.round_.c.run == t.share.c.run)
                & (t.round_.c.round == t.share.c.round),
            )
            .where(t.share.c.holder == holder, t.share.c.state == _WAITING)
        )
        rows = self._connection.execute(union_all(openings, rounds)).all()
        listed = [Pending(question_id=r[0], run=r[1], round=r[2], token=r[3]) for r in rows]
        return sorted(listed, key=lambda p: (p.question_id, p.run, p.round))

    def _update_question(self, question_id: str, **values: str) -> None:
        self._connection.execute(update(t.question).where(t.question.c.id == question_id).values(**values))

    def _close(self, question_id: str) -> None:
        """Nothing more is awaited of what is open; what comes now is late."""
        for table, state in ((t.opening, _WAITING), (t.share, _WAITING), (t.round_, _OPEN)):
            self._connection.execute(
                update(table)
                .where(table.c.question_id == question_id, table.c.state == state)
                .values(state=_CLOSED)
            )


def _step(question_id: str, run: int, round: int | None = None) -> dict[str, Any]:
    key: dict[str, Any] = {"of_question_id": question_id, "of_run": run}
    return key if round is None else {**key, "of_round": round}


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


def _optional(stored: str) -> dict[str, Any] | None:
    return None if stored == "null" else from_json(stored, dict[str, Any], what="the stored value")
