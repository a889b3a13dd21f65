"""What the services need: where holdings are kept, who computes, who tells what holds at the moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import ibis
import pyarrow as pa

from salerno.audit.model import Receipt
from salerno.holdings.model import (
    NO_NUMBERS,
    App,
    Contributions,
    Deletion,
    Dictionary,
    Holding,
    KeptFor,
    Learning,
    Measured,
    Numbers,
    PersonSets,
    StudyFrame,
    Task,
    Told,
    Trained,
)
from salerno.holdings.rules import Columns
from salerno.identity.model import Credential
from salerno.permits.model import DataPermit, DataScope, DisclosurePolicy, OptOutList, PermitState


class Trace(Protocol):
    """The audit log, as far as this capability writes it."""

    def append(
        self,
        *,
        actor: str,
        act: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        rule: str = "",
    ) -> int:
        """Append one entry and return its index."""
        ...

    def receipt(self, index: int) -> Receipt:
        """Proof that an entry is in the log."""
        ...


class HoldingStore(Protocol):
    """Where holdings are kept."""

    def add(self, holding: Holding) -> None:
        """Keep a new holding; its id and data set are not taken."""
        ...

    def set_policy(self, holding_id: str, policy: DisclosurePolicy) -> None:
        """Give a holding another policy."""
        ...

    def holding(self, holding_id: str) -> Holding | None:
        """The holding of this id."""
        ...

    def holdings(self) -> list[Holding]:
        """All, oldest first."""
        ...

    def allow(self, app: App) -> None:
        """Keep an app that may run on its holding, in place of an entry of the same digest."""
        ...

    def forbid(self, holding_id: str, digest: str) -> None:
        """Forget one."""
        ...

    def apps(self, holding_id: str) -> list[App]:
        """Apps that may run on a holding, oldest first."""
        ...

    def add_deletion(self, deletion: Deletion) -> None:
        """Keep what was deleted."""
        ...

    def note_sent(self, entry: int, at: datetime) -> None:
        """Note when the access body had the proof of a deletion."""
        ...

    def deletions(self) -> list[Deletion]:
        """All, oldest first."""
        ...


class CredentialVerifier(Protocol):
    """Who tells whether a credential is genuine; identity's `Trust` behind a transaction."""

    def verify(self, token: str) -> Credential:
        """The credential in a token.

        Raises:
            Refused: Signature, type, dates or issuer are not in order.
        """
        ...


class PermitStatus(Protocol):
    """Who tells what has become of a permit: its access body."""

    def state(self, permit: DataPermit) -> PermitState:
        """The state at the moment, not from a cache.

        Raises:
            Unavailable: The access body cannot be asked; then nothing may be read.
        """
        ...


class OptOutRegister(Protocol):
    """Where the opt-outs that concern this holder come from."""

    def of(self, permit: DataPermit, dataset: str) -> OptOutList:
        """Who is left out of a data set under a permit, as tokens that only this holder can match.

        Raises:
            Unavailable: There is none; then nothing may be read.
        """
        ...


Tell = Callable[[ibis.Table], tuple[ibis.Table, Sequence[Told]]]
"""From a frame's table to one made of it with the same rows, and whom figures rest on in terms of that."""

Stage = tuple[Any, Callable[[ibis.Table], ibis.Table]]
"""What tells a stage of rows from all others, and how its rows are made of those of the stage before."""

Persons = tuple[PersonSets, list[Contributions]]
"""Sets of persons, and of each sum over them that a few could make up what these contribute."""


class OpenedFrame(Protocol):
    """A frame as the engine holds it ready: filtered, without direct identifiers, limited to the permit.

    Args:
        table: The table that expressions are built on; its columns are the dictionary's and ``holder``.
        dictionary: Its columns, without ``holder``.
        n_persons: Persons in it.
    """

    table: ibis.Table
    dictionary: Dictionary
    n_persons: int

    def staged(self, stages: Sequence[Stage]) -> AbstractContextManager[ibis.Table]:
        """The table, or rows that are made of it in stages and kept for the next time.

        Args:
            stages: What tells each stage from all others, and how its rows are made of those before.
        """
        ...

    def check(self, expression: ibis.Table, rows: ibis.Table | None = None) -> None:
        """Refuse an expression that is not an aggregate over this frame, or over such rows, alone."""
        ...

    def compute(self, expression: ibis.Table, numbers: Numbers = NO_NUMBERS) -> pa.Table:
        """Run an expression on the holder's engine, with numbers for its parameters."""
        ...

    def rows(self, expression: ibis.Table) -> pa.Table:
        """Rows of this frame alone, for a program in the holder's own sandbox; they never leave the node.

        Raises:
            Refused: The expression is no selection of this frame's rows and columns.
        """
        ...

    def persons(self, build: Tell, secret: bytes, most: int) -> list[Persons]:
        """Whom figures rest on, for the holder's own records; never leaves the node.

        Args:
            build: From the frame's table, to which the key of the person is added, to what is told.
            secret: Key of the persons' numbers, at least 16 bytes.
            most: How many of the largest contributors to look at; 0 for no look at sums.
        """
        ...

    def close(self) -> None:
        """Let go of the engine and of what was kept for the frame; may be called twice."""
        ...


class AppSession(Protocol):
    """An app that is loaded beside its rows, in its sandbox."""

    def run(self, task: Task) -> Trained:
        """Carry out one round's task.

        Raises:
            Invalid: The app did not do what was asked.
            Refused: It took more time or memory than it may have.
        """
        ...

    def close(self) -> None:
        """End the app."""
        ...


class Apps(Protocol):
    """Runs apps, in a sandbox or not at all."""

    def open(self, app: App, learning: Learning, rows: pa.Table) -> AppSession:
        """Load an app beside rows.

        Raises:
            Refused: There is no sandbox here, or no interpreter for the app.
        """
        ...


class Destroyed(Protocol):
    """What went with a permit's key; see `Deletion`."""

    @property
    def files(self) -> int:
        """Sealed files."""
        ...

    @property
    def size_bytes(self) -> int:
        """Their size."""
        ...

    @property
    def digest(self) -> str:
        """What tells copies of them."""
        ...


class Keeping(Protocol):
    """What is kept under permits, each permit's under a key of its own; `adapters.vault.Vault`."""

    def permits(self) -> Mapping[str, datetime]:
        """The permits, with their ends."""
        ...

    def destroy_key(self, permit: str) -> Destroyed:
        """Delete a permit's key, and with it all that was kept."""
        ...

    def clear(self, permit: str) -> None:
        """Remove what cannot be read any more."""
        ...


class Engine(Protocol):
    """What computes on a holder's data; the only part that knows where they lie."""

    def check(self, holding: Holding) -> None:
        """Raise `Invalid` or `Unavailable` where the source cannot be read or is not of its kind."""
        ...

    def columns_needed(self, holding: Holding, frame: StudyFrame, columns: tuple[str, ...] = ()) -> Columns:
        """Base columns by table that a frame is computed from, without keys that no study sees.

        Raises:
            Invalid: The frame does not fit the holding.
        """
        ...

    def measure(self, holding: Holding) -> Measured:
        """Variable dictionary and counts of the whole holding."""
        ...

    def open(
        self,
        holding: Holding,
        frame: StudyFrame,
        scope: DataScope,
        *,
        left_out: OptOutList,
        min_cell: int,
        holder_name: str,
        kept_for: KeptFor | None = None,
    ) -> OpenedFrame:
        """Hold a frame ready, limited to the permitted rows, dates, columns and persons.

        Args:
            holding: What is read.
            frame: What is made of it.
            scope: What the permit covers of it.
            left_out: Persons who must not be in it.
            min_cell: Persons that a level needs to be named in the dictionary.
            holder_name: Value of the column ``holder``.
            kept_for: Under which permit cohorts are kept for the next question; None keeps none.
        """
        ...
