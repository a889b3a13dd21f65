"""How a question runs: opening, agreement, rounds, and what happens when a holder is lost.

The state of a method never lies in the database: it is replayed from the question and the totals, here as at
every holder, so a restart in the middle goes on where the last commit was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.masking import add, decode
from salerno.analysis.methods import method_of, most_rounds
from salerno.analysis.model import (
    ArraySpec,
    AskedQuestion,
    Method,
    Opened,
    QuestionState,
    Result,
    RoundCall,
    RunOpening,
    Scope,
    Share,
    ShareHeader,
    Study,
    Work,
)
from salerno.analysis.rules import (
    can_go_on,
    check_columns,
    merge_dictionaries,
    merge_policies,
    share_digest,
)
from salerno.analysis.service.answers import answer_question
from salerno.analysis.service.bell import Bell, holder_topic, question_topic
from salerno.analysis.service.board import Board, work_of
from salerno.analysis.service.endings import lost, named, no_end, nobody, reason, too_few
from salerno.analysis.service.ports import HubDesk, HubParts
from salerno.analysis.service.records import Missing, RunRecord
from salerno.analysis.service.waiting import Pulses, Waiting, refusal_in
from salerno.analysis.wire import parse_words, read_stored, render_signed, render_words
from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, SalernoError, Unavailable
from salerno.kernel.values import digest, from_json, to_json

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Ended(Exception):
    """The question cannot be answered, for this reason."""

    def __init__(self, reason: SalernoError) -> None:
        self.reason = reason


class _Again(Exception):
    """The run has to start again without some holders."""

    def __init__(self, holders: tuple[str, ...], missing: tuple[Missing, ...]) -> None:
        self.holders = holders
        self.missing = missing


class _Job:
    """A question while it runs."""

    def __init__(self, asked: AskedQuestion, study: Study, tokens: tuple[str, ...], names: dict[str, str]):
        self.asked = asked
        self.study = study
        self.tokens = tokens
        self.names = names
        self.method: Method = method_of(asked.question)


class Runner:
    """Runs questions in the threads of the job queue."""

    def __init__(self, parts: HubParts, bell: Bell, pulses: Pulses, board: Board) -> None:
        self._parts = parts
        self._bell = bell
        self._pulses = pulses
        self._board = board
        self._waiting = Waiting(parts, bell, pulses)

    def wait_for(self, topic: str, look: Callable[[], T], done: Callable[[T], bool], seconds: float) -> T:
        """See `Waiting.look_until`."""
        return self._waiting.look_until(topic, look, done, seconds)

    def stop(self) -> None:
        """Make every running question raise `Unavailable` at its next look."""
        self._waiting.stop()

    def run(self, question_id: str) -> None:
        """Lead a question to its end; does nothing when it has ended."""
        try:
            job = self._start(question_id)
            if job is not None:
                self._lead(job)
        except _Ended as ended:
            self._fail(question_id, ended.reason)
        except Unavailable:
            raise  # the node's own database or its stop: the job queue tries again
        except SalernoError as error:
            self._fail(question_id, error)
        except Exception as error:
            _log.exception("question %s failed", question_id)
            what = f"The coordinator could not go on ({type(error).__name__})"
            self._fail(question_id, SalernoError("internal", what, remedy="Report it to the hub's operator."))

    def _start(self, question_id: str) -> _Job | None:
        with self._parts.opens() as desk:
            asked = desk.store.question(question_id)
            study = desk.store.study(asked.study) if asked else None
            if (
                asked is None
                or study is None
                or asked.state in (QuestionState.ANSWERED, QuestionState.FAILED)
            ):
                return None
            desk.store.start_question(question_id, self._parts.now())
            known = {one.did: one.name for one in desk.trust.participants(ParticipantRole.HOLDER)}
            names = {did: known.get(did) or desk.trust.participant(did).name for did in study.datasets}
            return _Job(asked, study, desk.store.tokens(study.id), names)

    def _lead(self, job: _Job) -> None:
        with self._parts.reads() as desk:
            run = desk.store.run(job.asked.id)
        if run is None:
            run = self._new_run(job, 1, tuple(sorted(job.study.datasets)), ())
        else:
            self._post_again(run)
        while True:
            try:
                if run.scope is None:
                    run = self._agree(job, run)
                self._rounds(job, run)
            except _Again as again:
                run = self._new_run(job, run.run + 1, again.holders, again.missing)
            else:
                return

    def _new_run(
        self, job: _Job, number: int, holders: tuple[str, ...], missing: tuple[Missing, ...]
    ) -> RunRecord:
        opening = RunOpening(
            study=job.study.id,
            question_id=job.asked.id,
            run=number,
            question=job.asked.question,
            frame=job.study.frame,
            permits=job.tokens,
            dataset={did: job.study.datasets[did] for did in holders},
            user=job.study.user,
            purpose=job.study.purpose,
        )
        token = render_signed(opening, self._parts.keys, self._parts.own.did)
        run = RunRecord(question_id=job.asked.id, run=number, holders=holders, missing=missing)
        with self._parts.opens() as desk:
            desk.store.add_run(run, token)
            desk.store.set_progress(job.asked.id, "opening the data")
            desk.audit.append(
                actor=self._parts.own.did,
                act="run-opened",
                subject=job.asked.id,
                detail={"run": number, "holders": list(holders)},
            )
        work = Work(kind="opening", token=token)
        self._post(run, 0, dict.fromkeys(holders, work))
        return run

    def _agree(self, job: _Job, run: RunRecord) -> RunRecord:
        """Wait for the replies and agree on the scope; holders may be left out where the study allows it."""
        key = (run.question_id, run.run)

        def look(thorough: bool) -> dict[str, str]:
            found = self._board.openings(*key)
            if thorough:  # replies that another process of this node has taken
                with self._parts.reads() as desk:
                    found = {**desk.store.replies(*key), **found}
            return found

        replies = self._waiting.replies(run, 0, look)
        with self._parts.opens() as desk:
            desk.store.put_replies(*key, replies)
        opened = {did: read_stored(replies[did], Opened) for did in sorted(replies)}
        missing = list(run.missing)
        for did in run.holders:
            refusal = opened[did].refusal if did in opened else None
            if refusal is not None:
                if job.study.options.on_refusal != "leave-out":
                    raise _Ended(named(refusal, job.names[did]))
                missing.append(Missing(holder=did, name=job.names[did], reason=reason(refusal)))
                del opened[did]
            elif did not in opened:
                if not can_go_on(len(opened), job.study.options):
                    raise _Ended(lost([job.names[did]]))
                missing.append(Missing(holder=did, name=job.names[did], reason="did not answer"))
        if not opened:
            raise _Ended(nobody(missing))
        policy = merge_policies(o.policy for o in opened.values())
        least = max(policy.min_holders, (job.study.options.min_holders or 1) if missing else 1)
        if len(opened) < least:
            raise _Ended(too_few(len(opened), least, missing))
        dictionaries = {did: o.dictionary for did, o in opened.items() if o.dictionary is not None}
        merged = merge_dictionaries(dictionaries, job.names)
        check_columns(job.asked.question, merged)
        scope = Scope(
            dictionary=merged.dictionary,
            policy=policy,
            holders=tuple(sorted(opened)),
            names={did: job.names[did] for did in sorted(opened)},
        )
        agreed = replace(run, holders=scope.holders, missing=tuple(missing), scope=scope)
        job.method.start(job.asked.question, scope)  # a question that cannot be asked ends here
        with self._parts.opens() as desk:
            desk.store.agree(agreed)
            token = self._open_round(desk, job, agreed, 1, {})
        work = Work(kind="round", token=token, scope=scope)
        self._post(agreed, 1, dict.fromkeys(scope.holders, work))
        return agreed

    def _rounds(self, job: _Job, run: RunRecord) -> None:
        assert run.scope is not None
        scope = run.scope
        with self._parts.reads() as desk:
            totals = desk.store.totals(run.question_id, run.run)
        state = job.method.start(job.asked.question, scope)
        for arrays, data in totals:
            state = job.method.step(decode(parse_layout(arrays), parse_words(data)), state)
        number = len(totals) + 1
        while True:
            shares = self._shares(job, run, number)
            layout, words = _add(shares, job.names)
            state = job.method.step(decode(layout, words), state)
            token = ""
            with self._parts.opens() as desk:
                self._store_shares(desk, (run.question_id, run.run, number), shares)
                desk.store.put_totals(
                    run.question_id, run.run, number, to_json(layout).decode(), render_words(words)
                )
                if isinstance(state, Result):
                    answer_question(
                        desk, self._parts, job.study, job.asked, job.method.NAME, run, number, state
                    )
                elif number >= most_rounds(job.method, scope.policy):
                    raise _Ended(no_end(number))
                else:
                    token = self._open_round(desk, job, run, number + 1, shares)
            if not token:
                self._end(job.asked.id)
                return
            number += 1
            work = Work(kind="round", token=token, previous=tuple(shares[did] for did in scope.holders))
            self._post(run, number, dict.fromkeys(scope.holders, work))

    def _open_round(
        self, desk: HubDesk, job: _Job, run: RunRecord, number: int, previous: dict[str, Share]
    ) -> str:
        assert run.scope is not None
        call = RoundCall(
            question_id=run.question_id,
            run=run.run,
            round=number,
            scope=digest(run.scope),
            previous=tuple(share_digest(previous[did]) for did in sorted(previous)),
        )
        token = render_signed(call, self._parts.keys, self._parts.own.did)
        desk.store.add_round(run.question_id, run.run, number, token, run.holders)
        desk.store.set_progress(job.asked.id, f"round {number}")
        return token

    def _post(
        self,
        run: RunRecord,
        number: int,
        works: dict[str, Work],
        replies: Mapping[str, str | Share] | None = None,
    ) -> None:
        expected = expected_header(run, number) if number > 0 else None
        self._board.post(run.question_id, run.run, number, works, expected, replies)
        self._bell.ring(*map(holder_topic, works))

    def _post_again(self, run: RunRecord) -> None:
        """After a restart, ask those of whom nothing has been stored."""
        works: dict[str, Work] = {}
        with self._parts.reads() as desk:
            last = desk.store.last_round(run.question_id, run.run) if run.scope else None
            number = last.round if last else 0
            for did in run.holders:
                for pending in desk.store.pending(did):
                    if pending.question_id == run.question_id:
                        works[did] = work_of(desk, pending)
            key = (run.question_id, run.run)
            replies: Mapping[str, str | Share] = (
                desk.store.shares(*key, number) if number else desk.store.replies(*key)
            )
        self._post(run, number, works, replies)

    def _end(self, question_id: str) -> None:
        self._board.withdraw(question_id)
        self._pulses.forget(question_id)
        self._bell.ring(question_topic(question_id))

    def _shares(self, job: _Job, run: RunRecord, number: int) -> dict[str, Share]:
        """All shares of a round; a refusal or a lost holder ends the question or starts it again."""
        key = (run.question_id, run.run, number)

        def look(thorough: bool) -> dict[str, Share]:
            found = self._board.shares(*key)
            if thorough:  # shares that another process of this node has taken
                with self._parts.reads() as desk:
                    found = {**desk.store.shares(*key), **found}
            return found

        shares = self._waiting.replies(run, number, look)
        if len(shares) == len(run.holders) and not any(map(refusal_in, shares.values())):
            return shares
        with self._parts.opens() as desk:
            self._store_shares(desk, key, shares)
        for did, share in shares.items():
            refusal = refusal_in(share)
            if refusal is not None:
                raise _Ended(named(refusal, job.names[did]))
        silent = [did for did in run.holders if did not in shares]
        remaining = tuple(did for did in run.holders if did in shares)
        policy = run.scope.policy if run.scope else None
        # With a total formed, running again without a holder would let the coordinator subtract the two.
        if number > 1 or not can_go_on(len(remaining), job.study.options, policy):
            raise _Ended(lost([job.names[did] for did in silent], started=number > 1))
        left_out = tuple(
            Missing(holder=did, name=job.names[did], reason="did not answer round 1") for did in silent
        )
        raise _Again(remaining, run.missing + left_out)

    def _store_shares(self, desk: HubDesk, key: tuple[str, int, int], shares: dict[str, Share]) -> None:
        desk.store.put_shares(*key, shares)
        kept = desk.store.headers(*key)  # each with the digest of its words
        for did, share in shares.items():
            if kept.get(did) != share.header:
                raise Conflict("share-altered", f"{did} has handed in two different shares")

    def _fail(self, question_id: str, error: SalernoError) -> None:
        with self._parts.opens() as desk:
            desk.store.end_question(question_id, QuestionState.FAILED, error=error.to_problem())
            desk.audit.append(
                actor=self._parts.own.did,
                act="question-failed",
                subject=question_id,
                detail={"code": error.code},
                rule=error.rule,
            )
        self._end(question_id)


def expected_header(run: RunRecord, number: int) -> ShareHeader:
    """Where a share of a round must belong; layout and hash are left open."""
    assert run.scope is not None
    return ShareHeader(
        question_id=run.question_id,
        run=run.run,
        round=number,
        scope=digest(run.scope),
        holders=run.scope.holders,
        arrays=(),
        words_sha256="",
    )


def parse_layout(text: str) -> tuple[ArraySpec, ...]:
    """Array specifications as they lie in a store."""
    return from_json(text, tuple[ArraySpec, ...], what="the layout")


def _add(shares: dict[str, Share], names: dict[str, str]) -> tuple[tuple[ArraySpec, ...], NDArray[np.uint64]]:
    headers = {did: read_stored(share.header, ShareHeader) for did, share in shares.items()}
    first = min(shares)
    layout = headers[first].arrays
    for did in sorted(shares):
        if headers[did].arrays != layout:
            raise _Ended(
                Invalid(
                    "layout-differs", f"The sums of {names[did]} have another layout than {names[first]}'s"
                )
            )
    return layout, add(layout, [parse_words(shares[did].words) for did in sorted(shares)])
