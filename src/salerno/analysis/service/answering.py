"""The holder's share of a round: check what came, replay, compute, mask, sign, keep.

What the holder trusts is the question, the totals and its own replay of the method; not the coordinator. A
round is computed only when every share of the round before is genuine and its own is among them, so nobody
can choose the coefficients that it computes with.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.masking import add, decode, encode, mask
from salerno.analysis.methods import method_of, most_rounds
from salerno.analysis.model import (
    ArraySpec,
    Method,
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
from salerno.analysis.service.inbox import Drop, Inbox
from salerno.analysis.service.ledger import Claim, Ledger, entry_of
from salerno.analysis.service.local import compute
from salerno.analysis.service.opening import access_request
from salerno.analysis.service.ports import AgentParts, View
from salerno.analysis.service.records import AgentRound, AgentRun
from salerno.analysis.service.views import OpenViews
from salerno.analysis.vouching import Voucher
from salerno.analysis.wire import (
    parse_from,
    parse_words,
    read_stored,
    read_tags,
    render_share,
    render_words,
    words_digest,
)
from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Refused, SalernoError, Unavailable
from salerno.kernel.values import digest, from_json, to_json

_RUNS_KEPT = 32
_VIEWS_TRIED = 6


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


class Answering:
    """Computes shares."""

    def __init__(self, parts: AgentParts, inbox: Inbox, views: OpenViews) -> None:
        self._parts = parts
        self._inbox = inbox
        self._views = views
        self._lock = threading.Lock()
        self._replays: OrderedDict[tuple[str, int], _Replay] = OrderedDict()
        self._ledger = Ledger(parts.opens, parts.reads)

    def share(self, work: Work) -> Share:
        """This holder's share of a round, computed at most once; or its signed refusal.

        Raises:
            Drop: It is not from the coordinator, or asks a round again otherwise than before.
            Unavailable: Worth trying again in a moment.
        """
        call = self._inbox.parse(work.token, RoundCall)
        replay = self._load(call)
        content = digest([call, [words_digest(share.words) for share in work.previous]])
        for kept in replay.rounds if replay else ():
            if kept.round == call.round:
                if kept.content != content:
                    reason = Refused("round-altered", "The round has been asked otherwise before")
                    raise Drop(call.question_id, reason)
                return kept.share
        try:
            with self._inbox.at_work(call.question_id, call.run, call.round):
                return self._answer(call, work, content, replay)
        except SalernoError as error:
            if isinstance(error, Unavailable) and self._inbox.worth_trying_again(work.token):
                raise
            self._inbox.log_refusal(call.question_id, error)
            return self._refusal_share(call, work, replay, error)

    def _answer(self, call: RoundCall, work: Work, content: str, replay: _Replay | None) -> Share:
        totals: bytes | None = None
        if replay is None:
            replay = self._agree(call, work)
        most = most_rounds(replay.method, replay.scope.policy)
        check_next_round(call, last=len(replay.rounds), most=most)
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
        sums, claim = self._compute(replay, state, call)
        share, layout = self._render_share(call, replay, sums)
        kept = AgentRound(round=call.round, content=content, share=share, arrays=to_json(layout).decode())
        key = (self._parts.hub, call.question_id, call.run)
        with self._parts.opens() as desk:
            if claim is not None:
                self._ledger.record(desk, claim)
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
            admitted = {one.did for one in desk.trust.participants(ParticipantRole.HOLDER)}
        for did in scope.holders:
            if did not in admitted | {self._parts.own.did}:
                raise Refused("scope-holders", f"{did} is no data holder that this one has admitted")
        method = method_of(opening.question)
        state = method.start(opening.question, scope)
        return _Replay(replace(kept, scope=scope), opening, scope, digest(scope), method, state, [])

    def _check_previous(
        self, call: RoundCall, work: Work, replay: _Replay
    ) -> tuple[tuple[ArraySpec, ...], NDArray[np.uint64]]:
        """Verify every holder's share of the round before; returns layout and added words."""
        scope, last = replay.scope, replay.rounds[-1]
        layout = from_json(last.arrays, tuple[ArraySpec, ...], what="the layout")
        if len(work.previous) != len(scope.holders) or call.previous != tuple(
            map(share_digest, work.previous)
        ):
            raise Refused("share-misplaced", "The shares are not those that the coordinator signed for")
        own = self._parts.own.did
        place = scope.holders.index(own)
        voucher = Voucher(self._context(replay, call.round - 1), layout)
        for did, share in zip(scope.holders, work.previous, strict=True):
            if did == own:
                if share != last.share:
                    raise Refused("share-altered", "This holder's own share came back altered")
                continue
            tags, words_sha256 = read_tags(share.header), words_digest(share.words)
            # A share without the right tag may still be signed, and what is wrong with it is said then.
            if not voucher.proves(tags, place, self._secret(did), did, words_sha256):
                self._check_signed(did, share, _header(call, call.round - 1, scope.holders, layout, b""))
        return layout, add(layout, [parse_words(share.words) for share in work.previous])

    def _check_signed(self, did: str, share: Share, expected: ShareHeader) -> None:
        """Raise unless a holder has signed a share, in the place where it belongs."""
        header = parse_from(share.header, ShareHeader, self._parts.resolver, did)
        check_header(header, expected, share.words)
        if header.refusal is not None or header.arrays != expected.arrays:
            raise Refused("layout-differs", "A share of the round before has another layout")

    def _compute(self, replay: _Replay, state: Any, call: RoundCall) -> tuple[Sums, Claim | None]:
        """This holder's sums, and in the first round what its ledger is to keep of the question."""
        request = access_request(self._parts, replay.opening, replay.kept.permit_token)
        for left in reversed(range(_VIEWS_TRIED)):
            view = self._views.view(request)
            try:
                return self._compute_on(view, replay, state, call)
            except Conflict as error:
                if error.code != "view-closed" or not left:
                    raise
                # Another question of the study may have opened it anew, and several may do so in a row.
                self._views.forget(request, view)
        raise AssertionError("a view is tried at least once")

    def _compute_on(
        self, view: View, replay: _Replay, state: Any, call: RoundCall
    ) -> tuple[Sums, Claim | None]:
        method, scope, own = replay.method, replay.scope, self._parts.own
        name = scope.names.get(own.did, own.name)
        if call.round > 1:
            if scope.policy.epsilon:
                raise Refused("no-noise", "With differential privacy a question has one round")
            return method.guard(compute(view, method, state, scope, name), state, scope), None
        entry = entry_of(
            replay.opening,
            coordinator=self._parts.hub,
            view=view,
            scope=scope,
            own=own.did,
            now=self._parts.now(),
        )
        try:
            sums = compute(view, method, state, scope, name)
            if scope.policy.epsilon:
                # Noise comes before every threshold, which then says nothing about the true counts.
                sums, claim = self._ledger.noisy(entry, method, sums, state, scope.policy)
                return method.guard(sums, state, scope), claim
            sums = method.guard(sums, state, scope)
            return sums, self._ledger.judge(entry, view, method, state, scope, name)
        except Refused as error:
            self._ledger.refuse(entry, error)
            raise

    def _render_share(
        self, call: RoundCall, replay: _Replay, sums: Sums
    ) -> tuple[Share, tuple[ArraySpec, ...]]:
        scope, own = replay.scope, self._parts.own.did
        encoded = encode(sums, addends=len(scope.holders))
        words, context = encoded.words, self._context(replay, call.round)
        secrets = {did: self._secret(did) for did in scope.holders if did != own}
        if scope.policy.masks:
            words = mask(encoded, own=own, holders=scope.holders, secrets=secrets, context=context)
        data = render_words(words)
        header = _header(call, call.round, scope.holders, encoded.arrays, data)
        vouched = [secrets.get(did) for did in scope.holders]
        tags = Voucher(context, encoded.arrays).tags(vouched, own, header.words_sha256)
        return render_share(replace(header, tags=tags), data, self._parts.keys, own), encoded.arrays

    def _context(self, replay: _Replay, number: int) -> bytes:
        """What makes a round unique, for its pads and tags."""
        return round_context(
            coordinator=self._parts.hub,
            study=replay.opening.study,
            question_id=replay.kept.question_id,
            run=replay.kept.run,
            round=number,
            scope=replay.scope_digest,
            holders=replay.scope.holders,
        )

    def _secret(self, did: str) -> bytes:
        keys = list(self._parts.resolver.resolve(did).agreement.values())
        if len(keys) != 1:
            raise Refused("agreement-key", f"{did} does not publish exactly one key to agree on secrets with")
        return self._parts.keys.agree(keys[0])

    def _refusal_share(
        self, call: RoundCall, work: Work, replay: _Replay | None, error: SalernoError
    ) -> Share:
        scope = replay.scope if replay else work.scope
        header = _header(call, call.round, scope.holders if scope else (), (), b"")
        header = replace(header, refusal=error.to_problem())
        return render_share(header, b"", self._parts.keys, self._parts.own.did)


def _header(
    call: RoundCall, number: int, holders: tuple[str, ...], arrays: tuple[ArraySpec, ...], words: bytes
) -> ShareHeader:
    return ShareHeader(
        question_id=call.question_id,
        run=call.run,
        round=number,
        scope=call.scope,
        holders=holders,
        arrays=arrays,
        words_sha256=hashlib.sha256(words).hexdigest(),
    )
