"""The coordinator at the hub: studies, questions, and what holders hand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from salerno.analysis.masking import n_words
from salerno.analysis.methods import method_of
from salerno.analysis.model import (
    AskedQuestion,
    Opened,
    QuestionState,
    Share,
    ShareHeader,
    Study,
    StudyOptions,
    Work,
)
from salerno.analysis.rules import check_header, check_permits, datasets_of
from salerno.analysis.service.bell import Bell, question_topic, run_topic
from salerno.analysis.service.board import Board, in_lane, work_of
from salerno.analysis.service.ports import HubDesk, HubParts
from salerno.analysis.service.running import Runner, expected_header
from salerno.analysis.service.waiting import Pulses
from salerno.analysis.wire import parse_from, words_digest
from salerno.holdings.model import StudyFrame
from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError
from salerno.kernel.ids import new_id
from salerno.kernel.values import digest
from salerno.permits.model import IssuedPermit

JOB = "run-question"
"""Kind of the durable job that runs a question; its payload is ``{"question": id}``."""


class Coordinator:
    """Leads questions through their rounds; made once per hub, safe to use from several threads.

    Args:
        parts: What it is made of.
        bell: Rung after each commit that somebody waits for.
        pulses: When each holder last gave a sign of life.
    """

    def __init__(self, parts: HubParts, bell: Bell | None = None, pulses: Pulses | None = None) -> None:
        self.bell = bell or Bell()
        self._parts = parts
        self._pulses = pulses or Pulses()
        self._board = Board()
        self._runner = Runner(parts, self.bell, self._pulses, self._board)

    def open_study(
        self,
        title: str,
        user: str,
        purpose: str,
        permits: Sequence[IssuedPermit],
        frame: StudyFrame | None = None,
        options: StudyOptions | None = None,
    ) -> Study:
        """Open a study on data permits.

        Args:
            title: For people.
            user: Account identifier of the researcher; every permit must name it.
            purpose: Purpose code; every permit must be for it.
            permits: One or more per country.
            frame: What is read of each data set.
            options: How to go on when a holder is missing.

        Raises:
            Refused: A permit does not cover user, purpose, environment, time or data set.
            Invalid: No permits, or the data set of a holder is not clear.
            NotFound: A holder is not admitted at this hub.
        """
        options = options or StudyOptions()
        now = self._parts.now()
        check_permits(permits, user=user, purpose=purpose, environment=self._parts.own.did, now=now)
        contents = [issued.permit for issued in permits]
        study = Study(
            id=new_id("study"),
            title=title.strip() or "Untitled study",
            user=user,
            purpose=purpose,
            permits=tuple(permit.id for permit in contents),
            frame=frame or StudyFrame(),
            created_at=now,
            options=options,
            datasets=datasets_of(contents, options),
        )
        limited = [set(permit.methods) for permit in contents if permit.methods]
        methods = sorted(set.intersection(*limited)) if limited else None
        with self._parts.opens() as desk:
            for holder in study.datasets:
                _check_holder(desk, holder)
            desk.store.add_study(study, [issued.token for issued in permits], methods)
            desk.audit.append(
                actor=user,
                act="study-opened",
                subject=study.id,
                detail={"permits": list(study.permits), "holders": list(study.datasets), "purpose": purpose},
                rule="EHDS Art. 73(1)",
            )
        return study

    def studies(self, user: str) -> list[Study]:
        """A user's studies, newest first."""
        with self._parts.reads() as desk:
            return desk.store.studies(user)

    def study(self, study_id: str, user: str) -> Study:
        """One study of a user.

        Raises:
            NotFound: There is none, or it is another's.
        """
        with self._parts.reads() as desk:
            return _study(desk, study_id, user)

    def ask(self, study_id: str, question: Mapping[str, Any], user: str) -> AskedQuestion:
        """Ask a question of a study; it runs as a durable job.

        Raises:
            NotFound: The study is not the user's.
            Invalid: There is no such method; the nearest one is named.
            Refused: A permit does not cover the method.
        """
        name = method_of(question).NAME
        asked = AskedQuestion(
            id=new_id("question"),
            study=study_id,
            question=dict(question),
            state=QuestionState.QUEUED,
            asked_at=self._parts.now(),
            progress="waiting for its turn",
        )
        with self._parts.opens() as desk:
            _study(desk, study_id, user)
            _check_method(desk, study_id, name)
            desk.store.add_question(asked)
            desk.audit.append(
                actor=user,
                act="question-asked",
                subject=asked.id,
                detail={"study": study_id, "method": name, "question": digest(asked.question)},
            )
            desk.jobs.enqueue(JOB, {"question": asked.id}, key=f"{JOB}/{asked.id}")
        return asked

    def question(self, question_id: str, user: str) -> AskedQuestion:
        """A question as it stands, with the holders that it waits for in its progress.

        Raises:
            NotFound: There is none, or it is another's.
        """
        with self._parts.reads() as desk:
            asked = desk.store.question(question_id)
            if asked is None:
                raise _no_question(question_id)
            study = desk.store.study(asked.study)
            if study is None or study.user != user:
                raise _no_question(question_id)
            return self._with_progress(desk, asked)

    def questions(self, study_id: str, user: str) -> list[AskedQuestion]:
        """A study's questions, oldest first.

        Raises:
            NotFound: The study is not the user's.
        """
        with self._parts.reads() as desk:
            _study(desk, study_id, user)
            return [self._with_progress(desk, asked) for asked in desk.store.questions(study_id)]

    def wait(self, question_id: str, user: str, seconds: float) -> AskedQuestion:
        """As `question`, after it has ended or the time is up; blocks the calling thread."""
        return self._runner.wait_for(
            question_topic(question_id),
            lambda: self.question(question_id, user),
            lambda asked: asked.state in (QuestionState.ANSWERED, QuestionState.FAILED),
            seconds,
        )

    def run(self, question_id: str) -> None:
        """Lead a question to its answer or error, from wherever it stands; the job's handler.

        Raises:
            Unavailable: The node stops or its database cannot be used; the job runs again.
        """
        self._runner.run(question_id)

    def handle(self, payload: Mapping[str, Any]) -> None:
        """`run` for the job queue, with the payload ``{"question": id}``."""
        self.run(str(payload["question"]))

    def stop(self) -> None:
        """Let running questions go; their jobs take them up again at the next start."""
        self._runner.stop()

    def work_for(self, holder: str, lane: int = 0, lanes: int = 1) -> list[Work]:
        """What a holder has to do now.

        Args:
            holder: DID.
            lane: Only questions of this lane.
            lanes: Questions that fall into one of several lanes, so that an agent works on as
                many questions at once as it has lanes and never twice on one.
        """
        with self._parts.reads() as desk:
            # What the board knows, it knows better: a share on it need not be in the database yet.
            stored = [
                work_of(desk, p)
                for p in desk.store.pending(holder)
                if in_lane(p.question_id, lane, lanes) and self._board.waiting_for(p.question_id) is None
            ]
        return self._board.works(holder, lane, lanes) + stored

    def posted(self, holder: str, lane: int = 0, lanes: int = 1) -> list[Work]:
        """As `work_for`, from memory: what the questions that run in this process ask for."""
        return self._board.works(holder, lane, lanes)

    def posted_json(self, holder: str, lane: int = 0, lanes: int = 1) -> list[bytes]:
        """As `posted`, each work as JSON."""
        return self._board.encoded(holder, lane, lanes)

    def accept_opened(self, holder: str, reply: str) -> None:
        """Take a holder's signed reply to an opening.

        Raises:
            Refused: It is forged, belongs elsewhere or comes too late; that is logged and nothing stored.
            Conflict: The holder has replied otherwise before.
        """
        seen = {"question": ""}
        try:
            opened = parse_from(reply, Opened, self._parts.resolver, holder)
            seen["question"] = opened.question_id
            with self._parts.opens() as desk:
                _check_opened(desk, holder, opened)
                before = _open_opening(desk, holder, opened)
                if before and before != reply:
                    raise Conflict("opening-altered", "The holder has already replied to this opening")
                if not before:
                    desk.store.put_reply(opened.question_id, opened.run, holder, reply)
        except SalernoError as error:
            self._log_refusal(holder, seen["question"], error)
            raise
        self._board.replied(opened.question_id, opened.run, holder)
        if self._board.complete(opened.question_id, opened.run, 0):
            self.bell.ring(run_topic(opened.question_id))

    def accept_share(self, holder: str, share: Share) -> None:
        """Take a holder's share of the open round.

        Raises:
            Refused: It is forged, altered, belongs elsewhere or comes too late (``round-closed``); that is
                logged and nothing of it is stored.
            Conflict: The holder has handed in another share for this round.
        """
        seen = {"question": ""}
        try:
            header = parse_from(share.header, ShareHeader, self._parts.resolver, holder)
            seen["question"] = header.question_id
            self._keep(holder, header, share)
        except SalernoError as error:
            self._log_refusal(holder, seen["question"], error)
            raise
        step = (header.question_id, header.run, header.round)
        if header.refusal is not None or self._board.complete(*step):
            self.bell.ring(run_topic(header.question_id))

    def _keep(self, holder: str, header: ShareHeader, share: Share) -> None:
        """Check and keep a share; on the board where its round is there, else in the database."""
        key = (header.question_id, header.run, header.round, holder)
        expected = self._board.expected(*key)
        if expected is not None:
            _check_share(header, expected, share)
            kept = self._board.put(*key, share)
            if kept is not None:
                if kept != share:
                    raise _second_share()
                return
        with self._parts.opens() as desk:
            before = desk.store.share(*key)
            if before is not None and before == share:
                return  # sent twice: the first one counts
            _check_open_round(desk, holder, header, share)
            if before is not None or not desk.store.put_share(*key, share):
                raise _second_share()

    def note_working(self, holder: str, question_id: str, run: int, round: int) -> None:
        """A holder says that it is still computing; kept in memory only."""
        self._pulses.note(question_id, run, round, holder)

    def _with_progress(self, desk: HubDesk, asked: AskedQuestion) -> AskedQuestion:
        if asked.state is not QuestionState.RUNNING:
            return asked
        waiting = self._board.waiting_for(asked.id)
        if waiting is None:
            waiting = desk.store.waiting_for(asked.id)
        names = ", ".join(desk.trust.participant(did).name for did in waiting)
        return replace(asked, progress=f"{asked.progress}, waiting for {names}") if names else asked

    def _log_refusal(self, holder: str, question_id: str, error: SalernoError) -> None:
        with self._parts.opens() as desk:
            desk.audit.append(
                actor=holder, act="round-refused", subject=question_id, detail={"code": error.code}
            )


def _second_share() -> Conflict:
    return Conflict("share-altered", "The holder has already handed in another share")


def _check_holder(desk: HubDesk, did: str) -> None:
    participant = desk.trust.participant(did)
    if participant.role is not ParticipantRole.HOLDER:
        raise Invalid("not-a-holder", f"{participant.name} is no data holder")


def _check_method(desk: HubDesk, study_id: str, name: str) -> None:
    methods = desk.store.methods(study_id)
    if methods is not None and name not in methods:
        raise Refused(
            "method-not-permitted",
            f"The study's permits do not cover the method {name!r}",
            rule="EHDS Art. 68(10)(f)",
            remedy=f"They cover {', '.join(methods) or 'no method in common'}.",
        )


def _study(desk: HubDesk, study_id: str, user: str) -> Study:
    study = desk.store.study(study_id)
    if study is None or study.user != user:
        raise NotFound("no-such-study", f"There is no study {study_id!r}")
    return study


def _no_question(question_id: str) -> NotFound:
    return NotFound("no-such-question", f"There is no question {question_id!r}")


def _check_opened(desk: HubDesk, holder: str, opened: Opened) -> None:
    if opened.holder != holder:
        raise Refused("message-issuer", "The reply names another holder than the one who signed it")
    if (opened.dictionary is None) == (opened.refusal is None):
        raise Invalid("opening-reply", "The reply has neither dictionary nor refusal, or both")


def _open_opening(desk: HubDesk, holder: str, opened: Opened) -> str:
    run = desk.store.run(opened.question_id)
    asked = desk.store.question(opened.question_id)
    opening = desk.store.opening(opened.question_id, opened.run, holder)
    if opening is None or run is None or asked is None:
        raise Refused("round-unknown", "No such opening was sent to this holder")
    token, reply = opening
    if opened.opening != words_digest(token.encode()):
        raise Refused("share-misplaced", "The reply is to another opening")
    if not reply and (
        run.run != opened.run or run.scope is not None or asked.state is not QuestionState.RUNNING
    ):
        raise Refused(
            "round-closed", "The opening has been closed", remedy="Nothing to do: it came too late."
        )
    return reply


def _check_open_round(desk: HubDesk, holder: str, header: ShareHeader, share: Share) -> None:
    asked = desk.store.question(header.question_id)
    run = desk.store.run(header.question_id)
    opening = desk.store.opening(header.question_id, header.run, holder)
    if asked is None or run is None or opening is None:
        raise Refused("round-unknown", "No such round was asked of this holder")
    record = desk.store.last_round(header.question_id, run.run)
    ended = asked.state is not QuestionState.RUNNING or header.run < run.run or holder not in run.holders
    if ended or record is None or record.state != "open" or header.round < record.round:
        raise Refused("round-closed", "The round has been closed", remedy="Nothing to do: it came too late.")
    assert run.scope is not None
    expected = expected_header(run, record.round)
    _check_share(header, expected, share)


def _check_share(header: ShareHeader, expected: ShareHeader, share: Share) -> None:
    if header.refusal is not None:
        # A holder that refuses may not have got as far as knowing the others.
        expected = replace(expected, holders=header.holders)
    check_header(header, expected, share.words)
    if header.refusal is None and len(share.words) != 8 * n_words(header.arrays):
        raise Refused("share-altered", "The share's words do not fit its layout")
