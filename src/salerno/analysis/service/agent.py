"""The agent at a holder: fetches work by outbound calls, checks it, computes, masks, answers.

What it trusts is the question, the totals and its own replay of the method; not the coordinator. A round is
computed only when every share of the round before is genuine and its own is among them, so nobody can
choose the coefficients that it computes with.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from salerno.analysis.masking import add, decode, encode, mask
from salerno.analysis.methods import method_of
from salerno.analysis.model import (
    ArraySpec,
    Method,
    Opened,
    Result,
    RoundCall,
    RunOpening,
    Scope,
    Share,
    ShareHeader,
    Sums,
    Work,
)
from salerno.analysis.rules import check_header, check_next_round, check_scope, round_context, share_digest
from salerno.analysis.service.local import compute
from salerno.analysis.service.ports import (
    AgentRound,
    AgentRun,
    Door,
    HolderDesk,
    HubPeer,
    KeyResolver,
    Keys,
    Opens,
    View,
)
from salerno.analysis.wire import (
    parse_signed,
    parse_words,
    read_stored,
    render_share,
    render_signed,
    render_words,
    words_digest,
)
from salerno.holdings.model import AccessRequest
from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError, Unavailable
from salerno.kernel.values import digest, from_json, to_json
from salerno.permits.model import DataPermit

_log = logging.getLogger(__name__)

_VIEWS_KEPT = 4
_RUNS_KEPT = 32
_IDLE_SECONDS = 300.0
_TRIES = 4


@dataclass(frozen=True, kw_only=True)
class AgentParts:
    """All that an agent is made of.

    Args:
        door: Opens permitted views.
        opens: Opens a transaction that may write.
        reads: Opens one that only reads; may be the same.
        keys, resolver: The holder's own keys, and where the others' public keys come from.
        own: The holder.
        hub: DID of the coordinator.
        read_permit: The permit in a credential token, verified.
        now: The present instant.
    """

    door: Door
    opens: Opens[HolderDesk]
    reads: Opens[HolderDesk]
    keys: Keys
    resolver: KeyResolver
    own: Participant
    hub: str
    read_permit: Callable[[str], DataPermit]
    now: Callable[[], datetime]


@dataclass
class _Replay:
    """A run in memory; what is lost with it is read again from the store."""

    kept: AgentRun
    opening: RunOpening
    scope: Scope
    scope_digest: str
    method: Method
    state: Any
    rounds: list[AgentRound]


class _Drop(Exception):
    """A message not from the coordinator, or one that contradicts what was answered: logged, no reply."""

    def __init__(self, question_id: str, reason: SalernoError) -> None:
        self.question_id = question_id
        self.reason = reason


class Agent:
    """Works for one hub on behalf of one holder.

    Args:
        hub: How the hub is reached.
        parts: What the agent is made of.
        lanes: How many questions it works on at once.
        wait_seconds: How long a call to the hub may wait for work.
        working_seconds: How often it says that a long computation goes on.
    """

    def __init__(
        self,
        hub: HubPeer,
        parts: AgentParts,
        *,
        lanes: int = 2,
        wait_seconds: float = 25.0,
        working_seconds: float = 10.0,
    ) -> None:
        self._hub = hub
        self._parts = parts
        self._lanes = lanes
        self._wait = wait_seconds
        self._working_seconds = working_seconds
        self._lock = threading.Lock()
        self._views: OrderedDict[str, tuple[View, float]] = OrderedDict()
        self._replays: OrderedDict[tuple[str, int], _Replay] = OrderedDict()
        self._tries: dict[str, int] = {}
        self._working: set[tuple[str, int, int]] = set()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Work in threads until `stop`."""
        for lane in range(self._lanes):
            self._threads.append(threading.Thread(target=self._loop, args=(lane,), name=f"agent-{lane}"))
        self._threads.append(threading.Thread(target=self._say_working, name="agent-working"))
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Take no further work and close the views; a call that waits at the hub is not waited for."""
        self._stopping.set()
        end = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, min(0.2, end - time.monotonic())))
        with self._lock:
            views = [view for view, _ in self._views.values()]
            self._views.clear()
        for view in views:
            view.close()

    def work_once(self, wait: float = 0.0, lane: int | None = None) -> bool:
        """Fetch work and do it, and what follows from it, until the hub has no more.

        Args:
            wait: Seconds that each call may wait at the hub.
            lane: Only questions of this lane; None means all.

        Returns:
            Whether there was anything to do.

        Raises:
            Unavailable: The hub, the access body or the data cannot be reached now.
            SalernoError: The hub refused what was handed in.
        """
        at, lanes = (0, 1) if lane is None else (lane, self._lanes)
        queue = deque(self._hub.next(wait, at, lanes))
        found = bool(queue)
        while queue and not self._stopping.is_set():
            work = queue.popleft()
            reply = self._reply(work)
            then = 0.0 if queue else wait
            if isinstance(reply, Share):
                more = self._hub.share(reply, then, at, lanes)
            elif reply is not None:
                more = self._hub.opened(reply, then, at, lanes)
            else:
                continue
            known = {w.token for w in queue} | {work.token}
            queue.extend(w for w in more if w.token not in known)
        self._close_idle()
        return found

    def _loop(self, lane: int) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            try:
                self.work_once(self._wait, lane)
                pause = 0.0
                continue
            except Unavailable as error:
                _log.warning("the hub or the data cannot be used: %s", error.code)
            except SalernoError as error:
                _log.warning("the hub refused: %s", error.code)
            except Exception as error:
                _log.error("the agent could not go on: %s", type(error).__name__)
            pause = min(30.0, max(0.25, pause * 2))
            self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing

    def _say_working(self) -> None:
        while not self._stopping.wait(self._working_seconds):
            with self._lock:
                working = sorted(self._working)
            for question_id, run, number in working:
                try:
                    self._hub.working(question_id, run, number)
                except SalernoError as error:
                    _log.warning("the hub did not hear that work goes on: %s", error.code)

    @contextmanager
    def _at_work(self, question_id: str, run: int, number: int) -> Iterator[None]:
        with self._lock:
            self._working.add((question_id, run, number))
        try:
            yield
        finally:
            with self._lock:
                self._working.discard((question_id, run, number))

    def _reply(self, work: Work) -> str | Share | None:
        """What to hand in; None for a message that gets no reply."""
        try:
            reply = self._open(work.token) if work.kind == "opening" else self._round(work)
        except _Drop as drop:
            self._log_refusal(drop.question_id, drop.reason)
            return None
        self._tries.pop(work.token, None)
        return reply

    def _worth_trying_again(self, token: str) -> bool:
        """A peer or an engine may be back in a moment; after some tries the question is refused instead."""
        self._tries[token] = self._tries.get(token, 0) + 1
        if self._tries[token] < _TRIES:
            return True
        del self._tries[token]
        return False

    # --- opening ---

    def _open(self, token: str) -> str:
        opening = self._parse_hub(token, RunOpening)
        question_id = opening.question_id
        if opening.dataset.get(self._parts.own.did) is None:
            raise _Drop(question_id, Refused("not-addressed", "The opening is not for this holder"))
        with self._parts.reads() as desk:
            before = desk.store.run(self._parts.hub, question_id, opening.run)
        if before is not None:
            if before.opening != token:
                reason = Refused("opening-altered", "The run has been opened otherwise before")
                raise _Drop(question_id, reason)
            return before.reply
        try:
            with self._at_work(question_id, opening.run, 0):
                permit_token = self._choose_permit(opening)
                view = self._view(self._request(opening, permit_token))
            reply = Opened(
                question_id=question_id,
                run=opening.run,
                holder=self._parts.own.did,
                opening=words_digest(token.encode()),
                dictionary=view.dictionary,
                policy=view.policy,
                permit=view.permit.id,
            )
        except SalernoError as error:
            if isinstance(error, Unavailable) and self._worth_trying_again(token):
                raise
            return self._refuse_opening(opening, token, error)
        signed = render_signed(reply, self._parts.keys, self._parts.own.did)
        assert reply.dictionary is not None
        kept = AgentRun(
            coordinator=self._parts.hub,
            question_id=question_id,
            run=opening.run,
            opening=token,
            reply=signed,
            dictionary=reply.dictionary,
            policy=reply.policy,
            permit_token=permit_token,
        )
        with self._parts.opens() as desk:
            desk.store.add_run(kept)
            desk.audit.append(
                actor=self._parts.hub,
                act="run-opened",
                subject=question_id,
                detail={"run": opening.run, "holders": sorted(opening.dataset), "permit": reply.permit},
            )
        return signed

    def _choose_permit(self, opening: RunOpening) -> str:
        """The credential that covers the data set asked for; the door checks it fully."""
        own = self._parts.own.did
        reason: SalernoError | None = None
        for token in opening.permits:
            try:
                permit = self._parts.read_permit(token)
            except Unavailable:
                raise
            except SalernoError as error:
                reason = reason or error
                continue
            if any(s.holder == own and s.dataset == opening.dataset[own] for s in permit.data):
                return token
        if reason is not None:
            raise reason
        raise Refused(
            "permit-missing",
            f"None of the permits covers the data set {opening.dataset[own]}",
            rule="EHDS Art. 68(10)(a)",
        )

    def _request(self, opening: RunOpening, permit_token: str) -> AccessRequest:
        return AccessRequest(
            permit_token=permit_token,
            user=opening.user,
            purpose=opening.purpose,
            environment=self._parts.hub,
            method=method_of(opening.question).NAME,
            frame=opening.frame,
            dataset=opening.dataset[self._parts.own.did],
        )

    def _refuse_opening(self, opening: RunOpening, token: str, error: SalernoError) -> str:
        self._log_refusal(opening.question_id, error)
        refusal = Opened(
            question_id=opening.question_id,
            run=opening.run,
            holder=self._parts.own.did,
            opening=words_digest(token.encode()),
            refusal=error.to_problem(),
        )
        return render_signed(refusal, self._parts.keys, self._parts.own.did)

    # --- rounds ---

    def _round(self, work: Work) -> Share:
        call = self._parse_hub(work.token, RoundCall)
        replay = self._load(call)
        content = digest([call, [words_digest(share.words) for share in work.previous]])
        for kept in replay.rounds if replay else ():
            if kept.round == call.round:
                if kept.content != content:
                    reason = Refused("round-altered", "The round has been asked otherwise before")
                    raise _Drop(call.question_id, reason)
                return kept.share
        try:
            with self._at_work(call.question_id, call.run, call.round):
                return self._answer(call, work, content, replay)
        except SalernoError as error:
            if isinstance(error, Unavailable) and self._worth_trying_again(work.token):
                raise
            self._log_refusal(call.question_id, error)
            return self._refusal_share(call, work, replay, error)

    def _answer(self, call: RoundCall, work: Work, content: str, replay: _Replay | None) -> Share:
        totals: bytes | None = None
        if replay is None:
            replay = self._agree(call, work)
        check_next_round(call, last=len(replay.rounds), policy=replay.scope.policy)
        if call.scope != replay.scope_digest:
            raise Refused("scope-altered", "The round names another scope than the one agreed on")
        state = replay.state
        if call.round > 1:
            layout, words = self._check_previous(call, work, replay)
            state = replay.method.step(decode(layout, words), state)
            totals = render_words(words)
            if isinstance(state, Result):
                raise Refused("run-done", "The question already has its result")
        elif work.previous:
            raise Refused("share-misplaced", "Round 1 has no shares before it")
        sums = self._compute(replay, state)
        share, layout = self._render_share(call, replay, sums)
        kept = AgentRound(round=call.round, content=content, share=share, arrays=to_json(layout).decode())
        key = (self._parts.hub, call.question_id, call.run)
        with self._parts.opens() as desk:
            if totals is None:
                desk.store.set_scope(*key, replay.scope)
            else:
                desk.store.set_totals(*key, call.round - 1, totals)
            desk.store.add_round(*key, kept)
            desk.audit.append(
                actor=self._parts.hub,
                act="round-answered",
                subject=call.question_id,
                detail={"run": call.run, "round": call.round, "holders": len(replay.scope.holders)},
            )
        replay.state = state
        replay.rounds.append(kept)
        with self._lock:
            self._replays[call.question_id, call.run] = replay
            self._replays.move_to_end((call.question_id, call.run))
            while len(self._replays) > _RUNS_KEPT:
                self._replays.popitem(last=False)
        return share

    def _load(self, call: RoundCall) -> _Replay | None:
        """The run as it stands, from memory or replayed from the store; None before its first round."""
        with self._lock:
            replay = self._replays.get((call.question_id, call.run))
        if replay is not None:
            return replay
        key = (self._parts.hub, call.question_id, call.run)
        with self._parts.reads() as desk:
            kept = desk.store.run(*key)
            rounds = desk.store.rounds(*key) if kept else []
        if kept is None or kept.scope is None or not rounds:
            return None
        opening = read_stored(kept.opening, RunOpening)
        method = method_of(opening.question)
        state = method.start(opening.question, kept.scope)
        for done in rounds[:-1]:
            layout = from_json(done.arrays, tuple[ArraySpec, ...], what="the layout")
            state = method.step(decode(layout, parse_words(done.totals or b"")), state)
        return _Replay(kept, opening, kept.scope, digest(kept.scope), method, state, rounds)

    def _agree(self, call: RoundCall, work: Work) -> _Replay:
        """Check what the coordinator says that all agreed on, and take the method's first state."""
        with self._parts.reads() as desk:
            kept = desk.store.run(self._parts.hub, call.question_id, call.run)
        if kept is None:
            raise Refused("round-unknown", "The run has not been opened at this holder")
        if call.round != 1 or work.scope is None:
            raise Refused("round-order", f"Round {call.round} does not follow round 0")
        scope = work.scope
        opening = read_stored(kept.opening, RunOpening)
        check_scope(scope, own=self._parts.own.did, dictionary=kept.dictionary, policy=kept.policy)
        if not set(scope.holders) <= set(opening.dataset):
            raise Refused("scope-holders", "The agreed holders are not those of the opening")
        with self._parts.reads() as desk:
            for did in scope.holders:
                if did != self._parts.own.did and not _is_holder(desk, did):
                    raise Refused("scope-holders", f"{did} is no data holder that this one has admitted")
        method = method_of(opening.question)
        state = method.start(opening.question, scope)
        return _Replay(replace(kept, scope=scope), opening, scope, digest(scope), method, state, [])

    def _check_previous(
        self, call: RoundCall, work: Work, replay: _Replay
    ) -> tuple[tuple[ArraySpec, ...], Any]:
        """Verify every holder's share of the round before; returns layout and added words."""
        scope, last = replay.scope, replay.rounds[-1]
        layout = from_json(last.arrays, tuple[ArraySpec, ...], what="the layout")
        if len(work.previous) != len(scope.holders) or call.previous != tuple(
            map(share_digest, work.previous)
        ):
            raise Refused("share-misplaced", "The shares are not those that the coordinator signed for")
        for did, share in zip(scope.holders, work.previous, strict=True):
            if did == self._parts.own.did:
                if share != last.share:
                    raise Refused("share-altered", "This holder's own share came back altered")
                continue
            header = parse_signed(share.header, ShareHeader, self._parts.resolver.resolve(did).keys, did)
            expected = ShareHeader(
                question_id=call.question_id,
                run=call.run,
                round=call.round - 1,
                scope=replay.scope_digest,
                holders=scope.holders,
                arrays=layout,
                words_sha256=header.words_sha256,
            )
            check_header(header, expected, share.words)
            if header.refusal is not None or header.arrays != layout:
                raise Refused("layout-differs", "A share of the round before has another layout")
        return layout, add(layout, [parse_words(share.words) for share in work.previous])

    def _compute(self, replay: _Replay, state: Any) -> Sums:
        request = self._request(replay.opening, replay.kept.permit_token)
        name = replay.scope.names.get(self._parts.own.did, self._parts.own.name)
        try:
            view = self._view(request)
            sums = compute(view, replay.method, state, replay.scope, name)
        except Conflict as error:
            if error.code != "view-closed":
                raise
            self._forget_view(request)
            sums = compute(self._view(request), replay.method, state, replay.scope, name)
        return replay.method.guard(sums, state, replay.scope)

    def _render_share(
        self, call: RoundCall, replay: _Replay, sums: Sums
    ) -> tuple[Share, tuple[ArraySpec, ...]]:
        scope, own = replay.scope, self._parts.own.did
        encoded = encode(sums, addends=len(scope.holders))
        words = encoded.words
        if scope.policy.masks:
            context = round_context(
                coordinator=self._parts.hub,
                study=replay.opening.study,
                question_id=call.question_id,
                run=call.run,
                round=call.round,
                scope=replay.scope_digest,
                holders=scope.holders,
            )
            secrets = {did: self._secret(did) for did in scope.holders if did != own}
            words = mask(encoded, own=own, holders=scope.holders, secrets=secrets, context=context)
        data = render_words(words)
        header = _header(call, scope.holders, encoded.arrays, data)
        return render_share(header, data, self._parts.keys, own), encoded.arrays

    def _secret(self, did: str) -> bytes:
        keys = list(self._parts.resolver.resolve(did).agreement.values())
        if len(keys) != 1:
            raise Refused("agreement-key", f"{did} does not publish exactly one key to agree on secrets with")
        return self._parts.keys.agree(keys[0])

    def _refusal_share(
        self, call: RoundCall, work: Work, replay: _Replay | None, error: SalernoError
    ) -> Share:
        scope = replay.scope if replay else work.scope
        header = _header(call, scope.holders if scope else (), (), b"")
        header = replace(header, refusal=error.to_problem())
        return render_share(header, b"", self._parts.keys, self._parts.own.did)

    # --- views ---

    def _view(self, request: AccessRequest) -> View:
        key = digest(request)
        with self._lock:
            if key in self._views:
                view = self._views[key][0]
                self._views[key] = (view, time.monotonic())
                self._views.move_to_end(key)
                return view
        view = self._parts.door.open(request)
        dropped = []
        with self._lock:
            self._views[key] = (view, time.monotonic())
            while len(self._views) > _VIEWS_KEPT:
                dropped.append(self._views.popitem(last=False)[1][0])
        for old in dropped:
            old.close()
        return view

    def _forget_view(self, request: AccessRequest) -> None:
        with self._lock:
            self._views.pop(digest(request), None)

    def _close_idle(self) -> None:
        limit = time.monotonic() - _IDLE_SECONDS
        with self._lock:
            idle = [key for key, (_, used) in self._views.items() if used < limit]
            views = [self._views.pop(key)[0] for key in idle]
        for view in views:
            view.close()

    # --- messages ---

    def _parse_hub(self, token: str, kind: type[Any]) -> Any:
        hub = self._parts.hub
        try:
            return parse_signed(token, kind, self._parts.resolver.resolve(hub).keys, hub)
        except (Refused, Invalid) as error:
            raise _Drop("", error) from error

    def _log_refusal(self, question_id: str, error: SalernoError) -> None:
        with self._parts.opens() as desk:
            desk.audit.append(
                actor=self._parts.hub,
                act="round-refused",
                subject=question_id,
                detail={"code": error.code},
                rule=error.rule,
            )


def _header(
    call: RoundCall, holders: tuple[str, ...], arrays: tuple[ArraySpec, ...], words: bytes
) -> ShareHeader:
    return ShareHeader(
        question_id=call.question_id,
        run=call.run,
        round=call.round,
        scope=call.scope,
        holders=holders,
        arrays=arrays,
        words_sha256=hashlib.sha256(words).hexdigest(),
    )


def _is_holder(desk: HolderDesk, did: str) -> bool:
    try:
        return desk.trust.participant(did).role is ParticipantRole.HOLDER
    except NotFound:
        return False
