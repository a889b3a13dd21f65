"""Connecting and describing a holder's data, and the one door through which a study reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Protocol

import ibis
import pyarrow as pa

from salerno.catalogue.model import Agent, ContactPoint, DatasetDescription
from salerno.holdings.model import AccessRequest, Dictionary, Holding, Measured, SourceKind, StudyFrame
from salerno.holdings.rules import (
    Columns,
    check_enough_persons,
    check_permit_covers,
    check_permit_live,
    scope_for,
)
from salerno.identity.model import Credential, Participant
from salerno.kernel.codes import DataCategory
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError, near
from salerno.kernel.time import Clock
from salerno.permits.model import (
    DataPermit,
    DataScope,
    DisclosurePolicy,
    OptOutList,
    PermitState,
)
from salerno.permits.rules import binding_tokens
from salerno.permits.wire import parse_permit

STATUS_LIFETIME = timedelta(seconds=30)
"""How long an access body's word on a permit is believed before it is asked again."""

Build = Callable[[ibis.Table], ibis.Table]
"""From the view to one aggregate over it."""


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


class HoldingStore(Protocol):
    """Where holdings are kept."""

    def add(self, holding: Holding) -> None:
        """Keep a new holding; its id and data set are not taken."""
        ...

    def holding(self, holding_id: str) -> Holding | None:
        """The holding of this id."""
        ...

    def holdings(self) -> list[Holding]:
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

    def current(self) -> OptOutList:
        """The newest list, with tokens that only this holder can match.

        Raises:
            Unavailable: There is none; then nothing may be read.
        """
        ...


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

    def check(self, expression: ibis.Table) -> None:
        """Refuse an expression that is not an aggregate over this frame alone."""
        ...

    def compute(self, expression: ibis.Table) -> pa.Table:
        """Run an expression on the holder's engine."""
        ...

    def close(self) -> None:
        """Let go of the engine and of what was kept for the frame; may be called twice."""
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
        opted_out: frozenset[str],
        salt: bytes,
        min_cell: int,
        holder_name: str,
    ) -> OpenedFrame:
        """Hold a frame ready, limited to the permitted rows, dates, columns and persons.

        Args:
            holding: What is read.
            frame: What is made of it.
            scope: What the permit covers of it.
            opted_out: Tokens of persons who must not be in it.
            salt: Key of those tokens.
            min_cell: Persons that a level needs to be named in the dictionary.
            holder_name: Value of the column ``holder``.
        """
        ...


class PermittedView:
    """The rows that one permit lets one question read, and the only way to compute on them.

    Made by `ViewDoor.open`. Each `run` asks the clock and the access body again and leaves an entry in the
    audit log before anything is handed over. No direct identifier is in the view: persons are linked
    inside the engine by the source's own key, and neither that key nor any derived from it is a column, so
    there is no pseudonym that could be reused across permits (Art. 66).
    """

    def __init__(
        self,
        *,
        frame: OpenedFrame,
        permit: DataPermit,
        policy: DisclosurePolicy,
        holding: Holding,
        request: AccessRequest,
        check_live: Callable[[DataPermit], None],
        open_trace: Callable[[], AbstractContextManager[Trace]],
    ) -> None:
        self._frame = frame
        self._holding = holding
        self._request = request
        self._check_live = check_live
        self._open_trace = open_trace
        self._lock = Lock()
        self._closed = False
        self.permit = permit
        self.policy = policy

    @property
    def dictionary(self) -> Dictionary:
        """Columns of the view with the levels that enough persons have; without ``holder``."""
        return self._frame.dictionary

    @property
    def n_persons(self) -> int:
        """Persons in the view; 0 or at least `policy.min_cell`. Never leaves the node as it is."""
        return self._frame.n_persons

    @property
    def dataset(self) -> str:
        """IRI of the data set."""
        return self._holding.dataset

    def run(self, build: Build) -> pa.Table:
        """Compute one aggregate over the view on the holder's own engine.

        Args:
            build: From the view, a table with the dictionary's columns and ``holder``, to an aggregate.

        Returns:
            The aggregated rows, as an Arrow table of the expression's schema.

        Raises:
            Refused: The permit is no longer in force, or the expression is not an aggregate of the view.
            Unavailable: The access body cannot be asked, or the engine failed.
            Conflict: The view is closed.
        """
        with self._lock:
            if self._closed:
                raise Conflict("view-closed", "The view has been closed", remedy="Open it again.")
            try:
                self._check_live(self.permit)
                expression = build(self._frame.table)
                self._frame.check(expression)
            except Refused as refusal:
                self._leave_trace("view-refused", {"code": refusal.code})
                raise
            result = self._frame.compute(expression)
            self._leave_trace("view-read", {"columns": len(expression.columns)})
            return result

    def close(self) -> None:
        """Drop what the engine kept for the view."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._frame.close()

    def __enter__(self) -> PermittedView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _leave_trace(self, act: str, detail: Mapping[str, Any]) -> None:
        with self._open_trace() as trace:
            trace.append(
                actor=self._request.user,
                act=act,
                subject=self.permit.id,
                detail={"dataset": self._holding.dataset, "method": self._request.method, **detail},
                rule="EHDS Art. 73(1)(e)",
            )


class ViewDoor:
    """The one door to a holder's rows; made once per node, safe to use from several threads.

    Args:
        holdings: Opens a transaction with the holder's holdings.
        trace: Opens a transaction with the audit log.
        engine: Computes on the data.
        verifier: Tells whether a permit is genuine.
        status: Tells what has become of it.
        opt_outs: Gives the opt-outs.
        clock: The time.
        own: This holder.
    """

    def __init__(
        self,
        *,
        holdings: Callable[[], AbstractContextManager[Holdings]],
        trace: Callable[[], AbstractContextManager[Trace]],
        engine: Engine,
        verifier: CredentialVerifier,
        status: PermitStatus,
        opt_outs: OptOutRegister,
        clock: Clock,
        own: Participant,
    ) -> None:
        self._holdings = holdings
        self._trace = trace
        self._engine = engine
        self._verifier = verifier
        self._status = status
        self._opt_outs = opt_outs
        self._clock = clock
        self._own = own
        self._lock = Lock()
        self._states: dict[str, tuple[datetime, PermitState]] = {}

    def open(self, request: AccessRequest) -> PermittedView:
        """Open the view that a request may have, or say why it may have none.

        Args:
            request: Who asks, for what, with which permit.

        Raises:
            Refused: Credential, permit, opt-outs or the number of persons forbid it; it is in the audit log.
            Invalid: The frame does not fit the holding.
            Unavailable: Access body, opt-out list or data cannot be reached; nothing is read then.
        """
        seen: dict[str, str] = {}
        try:
            return self._open(request, seen)
        except SalernoError as error:
            with self._trace() as trace:
                trace.append(
                    actor=request.user,
                    act="view-refused",
                    subject=seen.get("permit", ""),
                    detail={"code": error.code, "method": request.method, "environment": request.environment},
                    rule=error.rule,
                )
            raise

    def _open(self, request: AccessRequest, seen: dict[str, str]) -> PermittedView:
        permit = self._genuine(request.permit_token)
        seen["permit"] = permit.id
        scope = scope_for(permit, request.dataset, self._own.did)
        with self._holdings() as holdings:
            holding = holdings.of_dataset(scope.dataset)
        now = self._clock.now()
        # First all that needs no peer and no data, so that a permit at fault costs nobody anything.
        check_permit_covers(permit, request, holding, now, self._own.did)
        needed = self._engine.columns_needed(holding, request.frame, request.columns)
        state = self._fresh_state(permit)
        scope = check_permit_covers(permit, request, holding, now, self._own.did, state=state, needed=needed)
        opted_out, salt = self._opted_out(permit)
        policy = holding.policy.stricter(permit.policy)
        frame = self._engine.open(
            holding,
            request.frame,
            scope,
            opted_out=opted_out,
            salt=salt,
            min_cell=policy.min_cell,
            holder_name=self._own.name,
        )
        try:
            check_enough_persons(frame.n_persons, policy.min_cell)
            with self._trace() as trace:
                trace.append(
                    actor=request.user,
                    act="view-opened",
                    subject=permit.id,
                    detail={
                        "dataset": holding.dataset,
                        "method": request.method,
                        "environment": request.environment,
                        "purpose": request.purpose,
                        "columns": len(frame.dictionary.variables),
                    },
                    rule="EHDS Art. 73(1)(e)",
                )
        except BaseException:
            frame.close()
            raise
        return PermittedView(
            frame=frame,
            permit=permit,
            policy=policy,
            holding=holding,
            request=request,
            check_live=self._check_live,
            open_trace=self._trace,
        )

    def _genuine(self, token: str) -> DataPermit:
        credential = self._verifier.verify(token)
        if not self._own.access_body or credential.issuer != self._own.access_body:
            raise Refused(
                "permit-issuer",
                f"{credential.issuer} is not the access body in charge of this holder",
                rule="EHDS Art. 57(1)(a), 68",
                remedy=f"Apply to {self._own.access_body or 'the access body that the operator sets'}.",
            )
        permit = parse_permit(credential)
        if permit.issuer != credential.issuer:
            raise Refused(
                "permit-issuer",
                f"Permit {permit.id} names another issuer than the one who signed it",
                rule="EHDS Art. 68",
            )
        return permit

    def _opted_out(self, permit: DataPermit) -> tuple[frozenset[str], bytes]:
        if permit.opt_out_exception:
            return frozenset(), b""
        listed = self._opt_outs.current()
        return binding_tokens(listed, permit), bytes.fromhex(listed.salt_hex)

    def _fresh_state(self, permit: DataPermit) -> PermitState:
        asked_at = self._clock.now()
        state = self._status.state(permit)
        with self._lock:
            self._states[permit.id] = (asked_at, state)
        return state

    def _check_live(self, permit: DataPermit) -> None:
        now = self._clock.now()
        with self._lock:
            asked_at, state = self._states.get(permit.id, (now - 2 * STATUS_LIFETIME, PermitState.GRANTED))
        if not timedelta() <= now - asked_at <= STATUS_LIFETIME:
            state = self._fresh_state(permit)
        check_permit_live(permit, now, state)


class Holdings:
    """What a steward does with a holder's data; made per transaction.

    Args:
        store: Where holdings are kept.
        audit: The log of the same transaction.
        clock: The time.
        own: This holder.
        engine: Computes on the data.
        access_body: The access body in charge, for descriptions.
    """

    def __init__(
        self,
        store: HoldingStore,
        audit: Trace,
        clock: Clock,
        own: Participant,
        engine: Engine,
        access_body: Participant | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._own = own
        self._engine = engine
        self._access_body = access_body

    def connect(
        self,
        id: str,
        source: str,
        by: str,
        *,
        kind: SourceKind = "tables",
        title: str = "",
        description: str = "",
        person_column: str = "",
        date_column: str = "",
        personal: bool = True,
        policy: DisclosurePolicy | None = None,
    ) -> Holding:
        """Connect data as a holding, after reading enough of it to know that it can be used.

        Args:
            id: Short name, lower-case letters, digits and hyphens; becomes the last part of the IRI.
            source: Folder, file (Parquet, CSV, DuckDB) or PostgreSQL URL.
            by: Account identifier of the steward.
            kind: ``omop`` or ``tables``.
            title: Name for people; the id by default.
            description: What the data are.
            person_column, date_column, personal: See `Holding`.
            policy: The holder's disclosure policy.

        Raises:
            Invalid: Id or source cannot be used; the sentence says what and where.
            Conflict: The id is taken.
            Unavailable: The source cannot be reached.
        """
        holding = self.draft(
            id,
            source,
            kind=kind,
            title=title,
            description=description,
            person_column=person_column,
            date_column=date_column,
            personal=personal,
            policy=policy,
        )
        self._engine.check(holding)
        self.add(holding, by)
        return holding

    def draft(
        self,
        id: str,
        source: str,
        *,
        kind: SourceKind = "tables",
        title: str = "",
        description: str = "",
        person_column: str = "",
        date_column: str = "",
        personal: bool = True,
        policy: DisclosurePolicy | None = None,
    ) -> Holding:
        """What `connect` would connect; nothing is read or stored.

        Raises:
            Invalid: The id cannot be used.
            Conflict: The id is taken.
        """
        if not id or not id.replace("-", "").isalnum() or id != id.lower() or not id.isascii():
            raise Invalid(
                "holding-id",
                f"{id!r} is no short name for a holding",
                remedy="Use lower-case letters, digits and hyphens.",
            )
        if self._store.holding(id) is not None:
            raise _taken(id)
        return Holding(
            id=id,
            dataset=f"{self._own.url}/datasets/{id}",
            title=title or id,
            source=source,
            kind=kind,
            connected_at=self._clock.now(),
            person_column=person_column,
            description=description,
            policy=policy or DisclosurePolicy(),
            personal=personal,
            date_column=date_column,
        )

    def add(self, holding: Holding, by: str) -> None:
        """Keep a holding whose source the engine has checked.

        Raises:
            Conflict: The id has been taken meanwhile.
        """
        if self._store.holding(holding.id) is not None:
            raise _taken(holding.id)
        self._store.add(holding)
        self._audit.append(
            actor=by,
            act="holding-connected",
            subject=holding.dataset,
            detail={"kind": holding.kind},
            rule="EHDS Art. 60",
        )

    def holdings(self) -> list[Holding]:
        """All holdings, oldest first."""
        return self._store.holdings()

    def holding(self, holding_id: str) -> Holding:
        """One holding.

        Raises:
            NotFound: There is none of this id; the nearest one is named.
        """
        found = self._store.holding(holding_id)
        if found is None:
            known = [h.id for h in self._store.holdings()]
            raise NotFound(
                "no-such-holding", f"There is no holding {holding_id!r}", remedy=near(holding_id, known)
            )
        return found

    def of_dataset(self, dataset: str) -> Holding:
        """The holding with this data set IRI.

        Raises:
            NotFound: The holder has no such data set, or no longer.
        """
        for holding in self._store.holdings():
            if holding.dataset == dataset:
                return holding
        raise NotFound("no-such-dataset", f"This holder has no data set {dataset}")

    def describe(
        self,
        holding_id: str,
        by: str,
        *,
        categories: tuple[DataCategory, ...] = (DataCategory.EHRS,),
        keywords: tuple[str, ...] = (),
        provenance: str = "",
        contact: ContactPoint | None = None,
        access_body_contact: ContactPoint | None = None,
        population_coverage: str = "",
        language: str = "en",
        measured: Measured | None = None,
    ) -> DatasetDescription:
        """Describe a holding by what its data show; the caller publishes it.

        Args:
            holding_id: Which.
            by: Account identifier of the steward.
            categories: Categories of Art. 51.
            keywords: Words to find it by; the title's words by default.
            provenance: Where the data come from.
            contact, access_body_contact: Where to ask; the nodes' own pages by default.
            population_coverage: Whom the data cover, in words.
            language: Language of title and description.
            measured: What the engine has found already; computed here when None.

        Raises:
            NotFound: No such holding.
            Invalid: No access body is set, or the data cannot be read.
        """
        holding = self.holding(holding_id)
        if self._access_body is None:
            raise Invalid(
                "no-access-body",
                "A description names the access body to apply to, and none is set",
                rule="EHDS Art. 60(3), 77",
                remedy="Set the node's access body.",
            )
        measured = measured or self._engine.measure(holding)
        described_at = self._clock.now()
        self._audit.append(
            actor=by,
            act="holding-described",
            subject=holding.dataset,
            detail={"tables": len(measured.tables)},
            rule="EHDS Art. 60(3)",
        )
        return DatasetDescription(
            iri=holding.dataset,
            identifier=holding.id,
            title=holding.title,
            description=holding.description or holding.title,
            holder=_agent(self._own, contact),
            access_body=_agent(self._access_body, access_body_contact),
            categories=categories,
            keywords=keywords or tuple(dict.fromkeys(holding.title.lower().split())),
            provenance=provenance or f"Collected by {self._own.name}",
            modified=described_at,
            tables=measured.tables,
            n_records=measured.n_records,
            n_persons=measured.n_persons,
            min_age=measured.min_age,
            max_age=measured.max_age,
            covers_from=measured.covers_from,
            covers_to=measured.covers_to,
            population_coverage=population_coverage,
            coding_systems=OMOP_CODING_SYSTEMS if holding.kind == "omop" else (),
            language=language,
            access_url=self._own.url,
        )


class HoldingDesk:
    """Connecting and describing without keeping the node's database waiting while data are read.

    Args:
        holdings: Opens a transaction with the holder's holdings.
        engine: Computes on the data.
    """

    def __init__(self, holdings: Callable[[], AbstractContextManager[Holdings]], engine: Engine) -> None:
        self._holdings = holdings
        self._engine = engine

    def connect(self, id: str, source: str, by: str, **options: Any) -> Holding:
        """See `Holdings.connect`."""
        with self._holdings() as holdings:
            holding = holdings.draft(id, source, **options)
        self._engine.check(holding)
        with self._holdings() as holdings:
            holdings.add(holding, by)
        return holding

    def describe(self, holding_id: str, by: str, **options: Any) -> DatasetDescription:
        """See `Holdings.describe`."""
        with self._holdings() as holdings:
            holding = holdings.holding(holding_id)
        measured = self._engine.measure(holding)
        with self._holdings() as holdings:
            return holdings.describe(holding_id, by, measured=measured, **options)


OMOP_CODING_SYSTEMS = (
    "http://www.wikidata.org/entity/Q1753883",  # SNOMED CT
)
"""The vocabulary of standard conditions in OMOP."""


def _agent(participant: Participant, contact: ContactPoint | None) -> Agent:
    return Agent(
        iri=participant.did,
        name=participant.name,
        country=participant.country,
        contact=contact or ContactPoint(name=participant.name, page=participant.url),
    )


def _taken(holding_id: str) -> Conflict:
    return Conflict(
        "holding-exists", f"There is a holding {holding_id!r} already", remedy="Choose another id."
    )
