"""What identity needs of the log of the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class JobQueue(Protocol):
    """The durable job queue of the same transaction."""

    def enqueue(self, kind: str, payload: dict[str, Any], *, key: str) -> None:
        """Have a job done after the commit; a second one with the same key changes nothing."""


class Mailer(Protocol):
    """Sends e-mails."""

    def send(self, *, to: str, subject: str, text: str, language: str, id: str) -> None:
        """Hand one over to the mail server.

        Raises:
            Unavailable: The server does not take it now.
            Refused: The server will never take it.
        """


class Journal(Protocol):
    """The audit log of the same transaction."""

    def append(
        self,
        *,
        actor: str,
        act: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        rule: str = "",
    ) -> int:
        """Write down an act."""

    def append_refusal(
        self,
        *,
        actor: str,
        act: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        rule: str = "",
    ) -> None:
        """Write down a refusal so that it stays when the transaction is rolled back."""
