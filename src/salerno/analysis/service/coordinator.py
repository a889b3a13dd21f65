"""The coordinator at the hub: studies, questions, and what holders hand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
from salerno.analysis.rules import check_permits, datasets_of
from salerno.analysis.service.bell import Bell, question_topic, run_topic
from salerno.analysis.service.board import Board, in_lane, work_of
from salerno.analysis.service.checks import (
    check_open_round,
    check_opened,
    check_opening,
    check_share,
    open_opening,
)
from salerno.analysis.service.ports import HubDesk, HubParts
from salerno.analysis.service.progress import progress_of, sentence_of
from salerno.analysis.service.running import Runner
from salerno.analysis.service.waiting import Pulses
from salerno.analysis.wire import keys_known, parse_from
from salerno.holdings.model import StudyFrame
from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError
from salerno.kernel.ids import derived_id, new_id
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
        key: str = "",
    ) -> Study:
        """Open a study on data permits.

        Args:
            title: For people.
            user: Account identifier of the researcher; every permit must name it.
            purpose: Purpose code; every permit must be for it.
            permits: One or more per country.
            frame: What is read of each data set.
            options: How to go on when a holder is missing.
            key: The user's own name for it; opening again with the same key gives the same study.

        Raises:
            Refused: A permit does not cover user, purpose, environment, time or data set.
            Invalid: No permits, or the data set of a holder is not clear.
            NotFound: A holder is not admitted at this hub.
            Conflict: The key was used for a study with other permits, frame or options.
        """
        options, frame = options or StudyOptions(), frame or StudyFrame()
        study_id = derived_id("study", user, key) if key else new_id("study")
        before = self._opened_before(study_id) if key else None
        if before is not None:
            asked = (purpose, tuple(issued.permit.id for issued in permits), frame, options)
            _check_same_study(before, *asked)
            return before
        now = self._parts.now()
        check_permits(permits, user=user, purpose=purpose, environment=self._parts.own.did, now=now)
        contents = [issued.permit for issued in permits]
        study = Study(
            id=study_id,
            title=title.strip() or "Untitled study",
            user=user,
            purpose=purpose,
            permits=tuple(permit.id for permit in contents),
            frame=frame,
            created_at=now,
            options=options,
            datasets=datasets_of(contents, options),
        )
        limited = [set(permit.methods) for permit in contents if permit.methods]
        methods = sorted(set.intersection(*limited)) if limited else None
        with self._parts.opens() as desk:
            before = desk.store.study(study_id) if key else None
            if before is not None:
                return before  # opened at the same moment by another call
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

    def _opened_before(self, study_id: str) -> Study | None:
        with self._parts.reads() as desk:
            return desk.store.study(study_id)

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

    def ask(self, study_id: str, question: Mapping[str, Any], user: str, key: str = "") -> AskedQuestion:
        """Ask a question of a study; it runs as a durable job.

        Args:
            study_id: The study.
            question: The question as JSON.
            user: Account identifier of the researcher.
            key: The user's own name for it in this study; with the same key it is asked once only.

        Raises:
            NotFound: The study is not the user's.
            Invalid: There is no such method; the nearest one is named.
            Refused: A permit does not cover the method.
            Conflict: The key was used for another question.
        """
        name = method_of(question).NAME
        asked = AskedQuestion(
            id=derived_id("question", study_id, key) if key else new_id("question"),
            study=study_id,
            question=dict(question),
            state=QuestionState.QUEUED,
            asked_at=self._parts.now(),
            progress="waiting for its turn",
        )
        with self._parts.opens() as desk:
            _study(desk, study_id, user)
            before = desk.store.question(asked.id) if key else None
            if before is not None:
                if before.question != asked.question:
                    raise _key_reused(key)
                return progress_of(desk, self._board, self._pulses, before)
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
            return progress_of(desk, self._board, self._pulses, asked)

    def questions(self, study_id: str, user: str) -> list[AskedQuestion]:
        """A study's questions, oldest first.

        Raises:
            NotFound: The study is not the user's.
        """
        with self._parts.reads() as desk:
            _study(desk, study_id, user)
            return [sentence_of(desk, self._board, asked) for asked in desk.store.questions(study_id)]

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
            check_opened(holder, opened)
            self._keep_opened(holder, opened, reply)
        except SalernoError as error:
            self._log_refusal(holder, seen["question"], error)
            raise
        if self._board.complete(opened.question_id, opened.run, 0):
            self.bell.ring(run_topic(opened.question_id))

    def _keep_opened(self, holder: str, opened: Opened, reply: str) -> None:
        """Check and keep a reply to an opening; on the board where that is there, else in the database."""
        step = (opened.question_id, opened.run)
        token = self._board.opening(*step, holder)
        if token is not None:
            check_opening(opened, token)
        before = self._board.openings(*step).get(holder)
        if token is not None or before is not None:
            before = self._board.put(*step, 0, holder, reply)
        if before is None:
            with self._parts.opens() as desk:
                before = open_opening(desk, holder, opened) or reply
                desk.store.put_replies(*step, {holder: before})
        if before != reply:
            raise Conflict("opening-altered", "The holder has already replied to this opening")

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
        self._ring(header)

    def take_share(self, holder: str, share: Share) -> bool:
        """As `accept_share`, but at once: without database and without a look-up of keys.

        Returns:
            Whether it was taken; where not, `accept_share` knows what to do or what is wrong.
        """
        try:
            if not keys_known(share.header, self._parts.resolver, holder):
                return False
            header = parse_from(share.header, ShareHeader, self._parts.resolver, holder)
            if not self._put(holder, header, share):
                return False
        except SalernoError:
            return False
        self._ring(header)
        return True

    def _ring(self, header: ShareHeader) -> None:
        step = (header.question_id, header.run, header.round)
        if header.refusal is not None or self._board.complete(*step):
            self.bell.ring(run_topic(header.question_id))

    def _put(self, holder: str, header: ShareHeader, share: Share) -> bool:
        """Check a share and keep it on the board; False where its round is not there."""
        key = (header.question_id, header.run, header.round, holder)
        expected = self._board.expected(*key)
        if expected is None:
            return False
        check_share(header, expected, share)
        kept = self._board.put(*key, share)
        if kept is not None and kept != share:
            raise _second_share()
        return kept is not None

    def _keep(self, holder: str, header: ShareHeader, share: Share) -> None:
        """Check and keep a share; on the board where its round is there, else in the database."""
        if self._put(holder, header, share):
            return
        key = (header.question_id, header.run, header.round, holder)
        with self._parts.opens() as desk:
            before = desk.store.share(*key)
            if before is not None and before == share:
                return  # sent twice: the first one counts
            check_open_round(desk, holder, header, share)
            desk.store.put_shares(*key[:3], {holder: share})
            if desk.store.share(*key) != share:
                raise _second_share()

    def note_working(self, holder: str, question_id: str, run: int, round: int) -> None:
        """A holder says that it is still computing; kept in memory only."""
        self._pulses.note(question_id, run, round, holder)

    def _log_refusal(self, holder: str, question_id: str, error: SalernoError) -> None:
        with self._parts.opens() as desk:
            desk.audit.append(
                actor=holder, act="round-refused", subject=question_id, detail={"code": error.code}
            )


def _key_reused(key: str) -> Conflict:
    return Conflict(
        "key-reused", f"The key {key!r} was used for something else", remedy="Choose another key for it."
    )


def _check_same_study(
    study: Study, purpose: str, permits: tuple[str, ...], frame: StudyFrame, options: StudyOptions
) -> None:
    """Raise `Conflict` unless a study that a key names is the one that is asked for."""
    if (study.purpose, study.permits, study.frame, study.options) != (purpose, permits, frame, options):
        raise Conflict(
            "key-reused",
            f"Study {study.id} has the same key, and other permits, data sets or options",
            remedy="Choose another key, or go on with that study.",
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
