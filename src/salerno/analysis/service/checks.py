"""What the coordinator checks of messages and keys before it keeps anything."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from salerno.analysis.masking import n_words
from salerno.analysis.model import Opened, QuestionState, Share, ShareHeader
from salerno.analysis.rules import check_header
from salerno.analysis.service.ports import HubDesk
from salerno.analysis.service.running import expected_header
from salerno.analysis.wire import words_digest
from salerno.kernel.errors import Invalid, Refused


def check_opened(holder: str, opened: Opened) -> None:
    """Raise unless a reply is its sender's own, with a dictionary or a refusal."""
    if opened.holder != holder:
        raise Refused("message-issuer", "The reply names another holder than the one who signed it")
    if (opened.dictionary is None) == (opened.refusal is None):
        raise Invalid("opening-reply", "The reply has neither dictionary nor refusal, or both")


def check_opening(opened: Opened, token: str) -> None:
    """Raise unless a reply is to this signed opening."""
    if opened.opening != _digest(token):
        raise Refused("share-misplaced", "The reply is to another opening")


@lru_cache(maxsize=16)
def _digest(token: str) -> str:
    # Every holder replies to the same opening, which carries the permits of all.
    return words_digest(token.encode())


def open_opening(desk: HubDesk, holder: str, opened: Opened) -> str:
    """The reply that a holder has already given to an opening; raises when none is awaited any more."""
    run = desk.store.run(opened.question_id)
    asked = desk.store.question(opened.question_id)
    opening = desk.store.opening(opened.question_id, opened.run, holder)
    if opening is None or run is None or asked is None:
        raise Refused("round-unknown", "No such opening was sent to this holder")
    token, reply = opening
    check_opening(opened, token)
    if not reply and (
        run.run != opened.run or run.scope is not None or asked.state is not QuestionState.RUNNING
    ):
        raise Refused(
            "round-closed", "The opening has been closed", remedy="Nothing to do: it came too late."
        )
    return reply


def check_open_round(desk: HubDesk, holder: str, header: ShareHeader, share: Share) -> None:
    """Raise unless a share is for the round that is open."""
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
    check_share(header, expected, share)


def check_share(header: ShareHeader, expected: ShareHeader, share: Share) -> None:
    """Raise unless a share is what its header says, in the place where it belongs."""
    if header.refusal is not None:
        # A holder that refuses may not have got as far as knowing the others.
        expected = replace(expected, holders=header.holders)
    check_header(header, expected, share.words)
    if header.refusal is None and len(share.words) != 8 * n_words(header.arrays):
        raise Refused("share-altered", "The share's words do not fit its layout")
