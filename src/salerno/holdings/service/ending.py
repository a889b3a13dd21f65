"""What a holder does at the end of a permit: it deletes what it kept under it, and proves that.

The key goes first. Whatever stops the node afterwards, it finds the files without a key at its next start,
and goes on from there; the access body may then get two receipts of one deletion, which does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from salerno.audit.model import Receipt
from salerno.holdings.service.connecting import Holdings
from salerno.holdings.service.ports import Keeping
from salerno.kernel.errors import SalernoError
from salerno.kernel.time import Clock
from salerno.permits.model import PermitState

Prove = Callable[[str, Receipt], None]
"""Gives the access body the receipt of a permit's deletion."""

_log = logging.getLogger(__name__)


class Endings:
    """Looks for permits that have ended; made once per node.

    Args:
        keeping: What is kept under permits.
        holdings: Opens a transaction with the holder's holdings.
        state: Asks the access body for the state of a permit.
        prove: Sends a receipt.
        clock: The time.
    """

    def __init__(
        self,
        keeping: Keeping,
        holdings: Callable[[], AbstractContextManager[Holdings]],
        state: Callable[[str], PermitState],
        prove: Prove,
        clock: Clock,
    ) -> None:
        self._keeping = keeping
        self._holdings = holdings
        self._state = state
        self._prove = prove
        self._clock = clock

    def go_round(self) -> None:
        """Delete what is kept under permits that have ended, and send the receipts that are still due."""
        for permit, until in self._keeping.permits().items():
            if self._clock.now() >= until or self._has_ended(permit):
                self._delete(permit)
        with self._holdings() as holdings:
            due = [deletion for deletion in holdings.deletions() if deletion.sent_at is None]
            receipts = [(deletion, holdings.deletion_receipt(deletion)) for deletion in due]
        for deletion, receipt in receipts:
            self._prove(deletion.permit, receipt)
            with self._holdings() as holdings:
                holdings.note_proved(deletion)

    def _has_ended(self, permit: str) -> bool:
        try:
            return self._state(permit) is not PermitState.GRANTED
        except SalernoError as error:
            # What is kept is sealed and is used by nobody meanwhile: the door asks for itself.
            _log.info("the state of a permit is not known: %s", error.code)
            return False

    def _delete(self, permit: str) -> None:
        gone = self._keeping.destroy_key(permit)
        with self._holdings() as holdings:
            holdings.note_deleted(permit, files=gone.files, size_bytes=gone.size_bytes, digest=gone.digest)
        self._keeping.clear(permit)
