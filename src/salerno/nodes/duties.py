"""What a running node does by itself: jobs, the agent of a holder, harvests, checkpoints."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from salerno.adapters.jobs import Worker
from salerno.catalogue.remote import HttpCatalogueSource
from salerno.catalogue.service import harvest_outside
from salerno.identity.model import Participant, ParticipantRole
from salerno.identity.service import MAIL_JOB, send_mail
from salerno.kernel.errors import SalernoError
from salerno.nodes.assemble import Node
from salerno.permits.remote import access_body_jobs, hub_jobs

if TYPE_CHECKING:
    from salerno.analysis.service.agent import Agent

QUESTIONS_AT_ONCE = 4

_log = logging.getLogger(__name__)


class Duties:
    """The threads of a running node.

    Args:
        node: Whose duties they are.
        when_loaded: What to do as soon as all is imported that a question needs.
    """

    def __init__(self, node: Node, when_loaded: Callable[[], object]) -> None:
        self._node = node
        self._when_loaded = when_loaded
        self._stopping = threading.Event()
        self._worker = Worker(node.database, self._handlers(), node.clock, threads=QUESTIONS_AT_ONCE)
        self._agents: dict[str, Agent] = {}
        self._reminded: date | None = None
        self._rounds = threading.Thread(target=self._go_round, name="duties", daemon=True)

    def start(self) -> None:
        """Start all threads; jobs and questions that were cut off are taken up again."""
        self._worker.start()
        self._rounds.start()

    def stop(self) -> None:
        """End in order; what is not finished goes on at the next start."""
        self._stopping.set()
        if self._node.settings.role is ParticipantRole.HUB:
            self._node.coordinator.stop()
        for agent in self._agents.values():
            agent.stop()
        self._worker.stop()
        self._rounds.join(timeout=5)

    def _handlers(self) -> Mapping[str, Callable[[dict[str, Any]], None]]:
        node, mailer = self._node, self._node.mailer
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {}
        if mailer is not None:
            handlers[MAIL_JOB] = partial(send_mail, node.notices, mailer)
        if node.settings.role is ParticipantRole.HUB:
            from salerno.analysis.service.coordinator import JOB

            handlers |= {**hub_jobs(node.permits, node.peer), JOB: node.coordinator.handle}
        if node.settings.role is ParticipantRole.ACCESS_BODY:
            handlers |= access_body_jobs(node.permits, node.peer)
        return handlers

    def _go_round(self) -> None:
        self._load()
        self._when_loaded()
        duties = (
            self._work_for_hubs, self._end_permits, self._harvest, self._checkpoint, self._mail_again,
            self._remind,
        )  # fmt: skip
        while not self._stopping.is_set():
            for duty in duties:
                try:
                    duty()
                except SalernoError as error:
                    _log.warning("a duty could not be done: %s", error.code)
                except Exception as error:
                    _log.error("a duty failed: %s", type(error).__name__)
            self._stopping.wait(self._node.settings.sync_seconds)

    def _load(self) -> None:
        """Import now what the first question would otherwise have to wait for."""
        role = self._node.settings.role
        if role is ParticipantRole.HOLDER:
            self._node.engine.load()
        if role in (ParticipantRole.HOLDER, ParticipantRole.HUB):
            from salerno.analysis.methods import METHODS

            for name in METHODS:
                if self._stopping.is_set():
                    return
                METHODS[name]

    def _work_for_hubs(self) -> None:
        """A holder works for every hub that it has admitted, also for one admitted while it runs."""
        if self._node.settings.role is not ParticipantRole.HOLDER:
            return
        from salerno.analysis.remote import HttpHub
        from salerno.analysis.service.agent import Agent

        for hub in self._node.participants(ParticipantRole.HUB):
            if hub.did not in self._agents:
                agent = Agent(HttpHub(self._node.peer, hub), self._node.agent_parts(hub.did))
                self._agents[hub.did] = agent
                agent.start()

    def _end_permits(self) -> None:
        """A holder deletes what it kept under permits that have ended."""
        if self._node.settings.role is ParticipantRole.HOLDER:
            self._node.endings.go_round()

    def _harvest(self) -> None:
        source = HttpCatalogueSource(self._node.http)
        for participant in harvest_sources(self._node):
            harvest_outside(self._node.catalogue, participant, source)

    def _mail_again(self) -> None:
        if self._node.mailer is not None:
            with self._node.notices() as notices:
                notices.mail_again()

    def _remind(self) -> None:
        today = self._node.clock.now().date()
        if self._reminded != today and self._node.settings.role is not ParticipantRole.HOLDER:
            with self._node.permits() as desk:
                desk.remind()
            self._reminded = today

    def _checkpoint(self) -> None:
        with self._node.audit() as log:
            log.checkpoint()


def harvest_sources(node: Node) -> list[Participant]:
    """Whose catalogues a node harvests: a hub those of access bodies, an access body those of its holders."""
    role = {
        ParticipantRole.HUB: ParticipantRole.ACCESS_BODY,
        ParticipantRole.ACCESS_BODY: ParticipantRole.HOLDER,
    }.get(node.settings.role)
    if role is None:
        return []
    return [
        participant
        for participant in node.participants(role)
        if role is ParticipantRole.ACCESS_BODY or participant.access_body == node.settings.did
    ]
