"""Connecting and describing a holder's data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from salerno.audit.model import Receipt
from salerno.catalogue.model import Agent, ContactPoint, DatasetDescription
from salerno.holdings.model import App, Deletion, Holding, Measured, SourceKind
from salerno.holdings.rules import read_bundle
from salerno.holdings.service.ports import Engine, HoldingStore, Trace
from salerno.identity.model import Participant
from salerno.kernel.codes import DataCategory
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, near
from salerno.kernel.time import Clock
from salerno.kernel.values import to_plain
from salerno.permits.model import DisclosurePolicy


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
            person_column: See `Holding`.
            date_column: See `Holding`.
            personal: See `Holding`.
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

    def set_policy(self, holding_id: str, policy: DisclosurePolicy, by: str) -> Holding:
        """Give a holding another disclosure policy; it applies from the next question on.

        Raises:
            NotFound: There is none of this id; the nearest one is named.
        """
        holding = self.holding(holding_id)
        self._store.set_policy(holding_id, policy)
        self._audit.append(
            actor=by,
            act="policy-set",
            subject=holding.dataset,
            detail=to_plain(policy),
            rule="EHDS Art. 73(2)",
        )
        return self.holding(holding_id)

    def allow_app(self, holding_id: str, bundle: bytes, by: str, *, python: str = "") -> App:
        """Let an app run on a holding: in a sandbox, for questions that name it by its digest.

        Args:
            holding_id: Which holding.
            bundle: The app; the steward has read it.
            by: Account identifier of the steward.
            python: Interpreter with Flower and what the app imports; the node's own by default.

        Raises:
            NotFound: There is no such holding.
            Invalid: It is no bundle.
        """
        holding = self.holding(holding_id)
        about = read_bundle(bundle)
        app = App(
            holding=holding.id,
            digest=about.digest,
            name=about.name,
            version=about.version,
            python=python or sys.executable,
            allowed_at=self._clock.now(),
            bundle=bundle,
        )
        self._store.allow(app)
        self._trace_app(holding, "app-allowed", app, by)
        return app

    def forbid_app(self, holding_id: str, digest: str, by: str) -> App:
        """Let an app run no longer, from its next round on.

        Args:
            holding_id: Which holding.
            digest: The app's, or the first letters of it.
            by: Account identifier of the steward.

        Raises:
            NotFound: There is no such holding, or no such app on it.
        """
        holding = self.holding(holding_id)
        found = [app for app in self._store.apps(holding_id) if digest and app.digest.startswith(digest)]
        if len(found) != 1:
            what = f"{len(found) or 'No'} apps of {holding_id!r} have a digest that begins with {digest!r}"
            raise NotFound(
                "no-such-app", what, remedy=near(digest, [a.digest for a in self.apps(holding_id)])
            )
        self._store.forbid(holding_id, found[0].digest)
        self._trace_app(holding, "app-forbidden", found[0], by)
        return found[0]

    def apps(self, holding_id: str) -> list[App]:
        """Apps that may run on a holding, oldest first.

        Raises:
            NotFound: There is no such holding.
        """
        return self._store.apps(self.holding(holding_id).id)

    def app(self, holding_id: str, digest: str) -> App:
        """The app of a digest.

        Raises:
            Refused: ``app-not-allowed``: the steward has not allowed it on this holding.
        """
        for app in self._store.apps(holding_id):
            if app.digest == digest:
                return app
        raise Refused(
            "app-not-allowed",
            f"The app {digest[:12]} may not run on this holder's data",
            rule="the holder's list of apps",
            remedy="Send its bundle to the holder's steward, who can read it and allow it.",
        )

    def _trace_app(self, holding: Holding, act: str, app: App, by: str) -> None:
        detail = {"app": app.digest, "name": app.name, "version": app.version}
        self._audit.append(
            actor=by, act=act, subject=holding.dataset, detail=detail, rule="EHDS Art. 73(1)(a)"
        )

    def note_deleted(self, permit: str, *, files: int, size_bytes: int, digest: str) -> Deletion:
        """Write down that what was kept under a permit has been deleted with its key (Art. 68(12))."""
        entry = self._audit.append(
            actor=self._own.did,
            act="permit-data-deleted",
            subject=permit,
            detail={"files": files, "size_bytes": size_bytes, "digest": digest},
            rule="EHDS Art. 68(12)",
        )
        deletion = Deletion(
            permit=permit,
            deleted_at=self._clock.now(),
            files=files,
            size_bytes=size_bytes,
            digest=digest,
            entry=entry,
        )
        self._store.add_deletion(deletion)
        return deletion

    def deletions(self) -> list[Deletion]:
        """What was deleted at the end of permits, oldest first."""
        return self._store.deletions()

    def deletion_receipt(self, deletion: Deletion) -> Receipt:
        """Proof that a deletion is in this node's log."""
        return self._audit.receipt(deletion.entry)

    def note_proved(self, deletion: Deletion) -> None:
        """Note that the access body has the proof of a deletion."""
        self._store.note_sent(deletion.entry, self._clock.now())

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
            contact: Where to ask; the holder's own page by default.
            access_body_contact: Where to ask the access body; its own page by default.
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
