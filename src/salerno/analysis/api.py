"""JSON routes of studies, questions and rounds at the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT
from litestar.types import ControllerRouterHandler

from salerno.analysis.model import AskedQuestion, QuestionState, Share, Study, StudyOptions
from salerno.analysis.rules import threshold_of
from salerno.analysis.service.bell import holder_topic, question_topic
from salerno.analysis.service.coordinator import Coordinator
from salerno.analysis.service.ports import Rehearse
from salerno.catalogue.model import DatasetDescription
from salerno.holdings.model import StudyFrame
from salerno.identity.model import ParticipantRole, PersonRole
from salerno.kernel.errors import Refused
from salerno.kernel.values import from_json, to_json, to_plain
from salerno.permits.model import IssuedPermit
from salerno.web.callers import caller_of, needs

LONGEST_WAIT_SECONDS = 30.0
MAX_SHARE_BYTES = 96 * 1024 * 1024
"""A share of 64 MiB in Base64, with its envelope."""

_SHORT_BYTES = 1024 * 1024
_LOOK_SECONDS = 2.0  # the database is looked at although no bell rang, for a hub of several processes

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, kw_only=True)
class NewStudy:
    """Body of ``POST /api/studies``; `permits` are identifiers of the caller's permits.

    Opened again with the same `key`, it is the same study.
    """

    title: str
    purpose: str
    permits: tuple[str, ...]
    frame: StudyFrame = field(default_factory=StudyFrame)
    options: StudyOptions = field(default_factory=StudyOptions)
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Body of ``POST /api/rehearsals``: a question of a study of the caller, or of data sets and a frame."""

    question: dict[str, Any]
    study: str = ""
    datasets: tuple[str, ...] = ()
    frame: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Ask:
    """How long an agent's call may wait, and for which of its questions."""

    wait: float = 0.0
    lane: int = 0
    lanes: int = 1


@dataclass(frozen=True, kw_only=True)
class _HandIn(_Ask):
    """A reply to an opening, or a share."""

    reply: str = ""
    share: Share | None = None


@dataclass(frozen=True, kw_only=True)
class _Working:
    question_id: str
    run: int
    round: int


def routes(
    coordinator: Coordinator,
    permits_of: Callable[[str], Sequence[IssuedPermit]],
    rehearse: Rehearse,
    describe: Callable[[Sequence[str]], list[DatasetDescription]],
) -> list[ControllerRouterHandler]:
    """The hub's routes for researchers and for the holders' agents.

    Args:
        coordinator: The hub's.
        permits_of: The permits that name an account.
        rehearse: Answers a question on synthetic rows.
        describe: Descriptions of data sets by IRI; NotFound for one that the catalogue does not have.
    """
    return [
        *_study_routes(coordinator, permits_of),
        _rehearsal_route(coordinator, permits_of, rehearse, describe),
        *_round_routes(coordinator),
    ]


def _rehearsal_route(
    coordinator: Coordinator,
    permits_of: Callable[[str], Sequence[IssuedPermit]],
    rehearse: Rehearse,
    describe: Callable[[Sequence[str]], list[DatasetDescription]],
) -> ControllerRouterHandler:
    @post("/api/rehearsals", guards=[needs(PersonRole.RESEARCHER)], status_code=HTTP_200_OK)
    async def rehearsal(request: AnyRequest) -> dict[str, Any]:
        asked = from_json(await request.body(), Rehearsal, what="the rehearsal")
        user = caller_of(request).id

        def answer() -> dict[str, Any]:
            if not asked.study:
                return rehearse(asked.question, describe(asked.datasets), asked.frame)
            study = coordinator.study(asked.study, user)
            described = describe(list(study.datasets.values()))
            threshold = threshold_of(study, permits_of(user))
            return rehearse(asked.question, described, to_plain(study.frame), threshold)

        return await asyncio.to_thread(answer)

    return rehearsal


def _study_routes(
    coordinator: Coordinator, permits_of: Callable[[str], Sequence[IssuedPermit]]
) -> list[ControllerRouterHandler]:
    researcher = [needs(PersonRole.RESEARCHER)]

    @post("/api/studies", guards=researcher, status_code=HTTP_200_OK)
    async def open_study(request: AnyRequest) -> Study:
        asked = from_json(await request.body(), NewStudy, what="the study")
        user = caller_of(request).id

        def opening() -> Study:
            chosen = _chosen(permits_of(user), asked)
            return coordinator.open_study(
                asked.title, user, asked.purpose, chosen, asked.frame, asked.options, asked.key
            )

        return await asyncio.to_thread(opening)

    @get("/api/studies", guards=researcher, sync_to_thread=False)
    def list_studies(request: AnyRequest) -> list[Study]:
        return coordinator.studies(caller_of(request).id)

    @get("/api/studies/{study_id:str}", guards=researcher, sync_to_thread=False)
    def show_study(request: AnyRequest, study_id: FromPath[str]) -> Study:
        return coordinator.study(study_id, caller_of(request).id)

    @post("/api/studies/{study_id:str}/questions", guards=researcher, status_code=HTTP_200_OK)
    async def ask(request: AnyRequest, study_id: FromPath[str], key: FromQuery[str] = "") -> AskedQuestion:
        question = from_json(await request.body(), dict[str, Any], what="the question")
        user = caller_of(request).id
        return await asyncio.to_thread(coordinator.ask, study_id, question, user, key)

    @get("/api/studies/{study_id:str}/questions", guards=researcher, sync_to_thread=False)
    def list_questions(request: AnyRequest, study_id: FromPath[str]) -> list[AskedQuestion]:
        return coordinator.questions(study_id, caller_of(request).id)

    @get("/api/questions/{question_id:str}", guards=researcher)
    async def show_question(
        request: AnyRequest, question_id: FromPath[str], wait: FromQuery[float] = 0.0
    ) -> AskedQuestion:
        user = caller_of(request).id

        async def look() -> tuple[AskedQuestion, bool]:
            asked = await asyncio.to_thread(coordinator.question, question_id, user)
            return asked, asked.state in (QuestionState.ANSWERED, QuestionState.FAILED)

        return await _look_until(coordinator, question_topic(question_id), look, wait)

    return [open_study, list_studies, show_study, ask, list_questions, show_question]


def _round_routes(coordinator: Coordinator) -> list[ControllerRouterHandler]:
    holder = [needs(ParticipantRole.HOLDER)]

    async def work(did: str, asked: _Ask, *, thorough: bool = False) -> Response[bytes]:
        """Work as it is posted; the database is asked at first where that is `thorough`, and now and then."""
        loop = asyncio.get_running_loop()
        end = loop.time() + min(max(asked.wait, 0.0), LONGEST_WAIT_SECONDS)
        with coordinator.bell.listen_async(holder_topic(did)) as event:
            while True:
                event.clear()
                found = coordinator.posted_json(did, asked.lane, asked.lanes)
                if not found and thorough:
                    works = await asyncio.to_thread(coordinator.work_for, did, asked.lane, asked.lanes)
                    found = [to_json(one) for one in works]
                left = end - loop.time()
                if found or left <= 0:
                    content = b'{"work":[' + b",".join(found) + b"]}"
                    return Response(content, media_type="application/json", status_code=HTTP_200_OK)
                thorough = not await _rings(event, min(left, _LOOK_SECONDS))

    @post("/api/rounds/next", guards=holder, status_code=HTTP_200_OK)
    async def next_work(request: AnyRequest) -> Response[bytes]:
        asked = from_json(await request.body() or b"{}", _Ask, what="the request for work")
        return await work(caller_of(request).id, asked, thorough=True)

    @post(
        "/api/rounds/opened",
        guards=holder,
        status_code=HTTP_200_OK,
        request_max_body_size=MAX_SHARE_BYTES,
    )
    async def opened(request: AnyRequest) -> Response[bytes]:
        did = caller_of(request).id
        handed = from_json(await request.body(), _HandIn, what="the reply")
        await asyncio.to_thread(coordinator.accept_opened, did, handed.reply)
        return await work(did, handed)

    @post(
        "/api/rounds/share",
        guards=holder,
        status_code=HTTP_200_OK,
        request_max_body_size=MAX_SHARE_BYTES,
    )
    async def share(request: AnyRequest) -> Response[bytes]:
        did = caller_of(request).id
        handed = from_json(await request.body(), _HandIn, what="the share")
        if handed.share is None:
            raise Refused("share-missing", "There is no share in the message")
        # A thread costs more than taking a short share from memory.
        if len(handed.share.words) > _SHORT_BYTES or not coordinator.take_share(did, handed.share):
            await asyncio.to_thread(coordinator.accept_share, did, handed.share)
        return await work(did, handed)

    @post("/api/rounds/working", guards=holder, status_code=HTTP_204_NO_CONTENT)
    async def working(request: AnyRequest) -> None:
        said = from_json(await request.body(), _Working, what="the message")
        coordinator.note_working(caller_of(request).id, said.question_id, said.run, said.round)

    return [next_work, opened, share, working]


def _chosen(permits: Sequence[IssuedPermit], asked: NewStudy) -> list[IssuedPermit]:
    mine = {issued.permit.id: issued for issued in permits}
    strange = [permit_id for permit_id in asked.permits if permit_id not in mine]
    if strange:
        raise Refused(
            "permit-not-yours",
            f"There is no permit {strange[0]!r} that names you",
            rule="EHDS Art. 68(10)(d)",
            remedy=f"Yours are {', '.join(sorted(mine)) or 'none'}.",
        )
    return [mine[permit_id] for permit_id in dict.fromkeys(asked.permits)]


async def _look_until(
    coordinator: Coordinator, topic: str, look: Callable[[], Awaitable[tuple[T, bool]]], wait: float
) -> T:
    """Look, and look again after each ring, until there is something or the wait is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(max(wait, 0.0), LONGEST_WAIT_SECONDS)
    with coordinator.bell.listen_async(topic) as event:
        while True:
            event.clear()
            found, done = await look()
            left = end - loop.time()
            if done or left <= 0:
                return found
            await _rings(event, min(left, _LOOK_SECONDS))


async def _rings(event: asyncio.Event, seconds: float) -> bool:
    """Whether the bell rings within the time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
