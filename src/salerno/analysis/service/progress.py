"""Where a question stands, as a sentence and by holder: what the people who wait for it see."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from salerno.analysis.model import (
    AskedQuestion,
    HolderProgress,
    HolderState,
    Opened,
    QuestionState,
    ShareHeader,
)
from salerno.analysis.service.board import Board
from salerno.analysis.service.endings import reason
from salerno.analysis.service.ports import HubDesk
from salerno.analysis.service.records import RunRecord
from salerno.analysis.service.waiting import Pulses
from salerno.analysis.wire import read_stored

SILENT_AFTER_SECONDS = 25
"""A holder that works says so every ten seconds: after this time two signs of life are missing."""


def progress_of(desk: HubDesk, board: Board, pulses: Pulses, asked: AskedQuestion) -> AskedQuestion:
    """The question with its sentence and each holder's part, unless it waits for its turn or is answered."""
    if asked.state not in (QuestionState.RUNNING, QuestionState.FAILED):
        return asked
    run = desk.store.run(asked.id)
    if run is None:
        return asked
    return replace(sentence_of(desk, board, asked), holders=_holders(desk, board, pulses, asked, run))


def sentence_of(desk: HubDesk, board: Board, asked: AskedQuestion) -> AskedQuestion:
    """The question with the names of those it waits for in its progress."""
    if asked.state is not QuestionState.RUNNING:
        return asked
    waiting = board.waiting_for(asked.id)
    if waiting is None:
        waiting = desk.store.waiting_for(asked.id)
    names = ", ".join(desk.trust.participant(did).name for did in waiting)
    return replace(asked, progress=f"{asked.progress}, waiting for {names}") if names else asked


def _holders(
    desk: HubDesk, board: Board, pulses: Pulses, asked: AskedQuestion, run: RunRecord
) -> tuple[HolderProgress, ...]:
    last = desk.store.last_round(run.question_id, run.run) if run.scope else None
    number = last.round if last else 0
    replied = _replied(desk, board, run, number)
    began = board.posted_at(run.question_id, run.run, number)
    found = []
    for did in run.holders:
        part = HolderProgress(holder=did, name=desk.trust.participant(did).name, state="silent")
        if did in replied:
            refusal = replied[did]
            done = replace(part, state="answered" if number else "opened")
            found.append(replace(part, state="refused", reason=reason(refusal)) if refusal else done)
        elif asked.state is QuestionState.FAILED:
            found.append(part)
        else:
            seen = began and pulses.last(run.question_id, run.run, number, did, began)
            seconds = int(min(time.monotonic() - seen, 86_400)) if seen else 0
            silent = seconds >= SILENT_AFTER_SECONDS
            state: HolderState = "silent" if silent else "computing" if number else "opening"
            found.append(replace(part, state=state, seconds=seconds))
    left_out = (
        HolderProgress(holder=m.holder, name=m.name, state="left-out", reason=m.reason) for m in run.missing
    )
    return (*found, *left_out)


def _replied(desk: HubDesk, board: Board, run: RunRecord, number: int) -> Mapping[str, dict[str, Any] | None]:
    """Who has replied in a step, with the refusal of each, which is None for most."""
    key = (run.question_id, run.run)
    if number == 0:
        replies = desk.store.replies(*key) | board.openings(*key)
        return {did: read_stored(text, Opened).refusal for did, text in replies.items()}
    headers = desk.store.headers(*key, number)
    headers |= {did: share.header for did, share in board.shares(*key, number).items()}
    return {did: read_stored(text, ShareHeader).refusal for did, text in headers.items()}
