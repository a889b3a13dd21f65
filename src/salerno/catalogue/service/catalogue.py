"""The catalogue of one node: its own data sets and those that it harvested."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from salerno.audit.service import AuditLog
from salerno.catalogue.model import (
    Agent,
    CatalogueHeader,
    ContactPoint,
    DatasetDescription,
    HarvestReport,
    SearchHit,
)
from salerno.catalogue.rules import check_complete, is_agent, normal_form
from salerno.catalogue.service.harvest import (
    CatalogueSource,
    HarvestState,
    Outcome,
    fetch_outcome,
    judge,
)
from salerno.catalogue.service.search import Filters, SearchIndex, Snapshot
from salerno.catalogue.wire import render_catalogue
from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.codes import DataCategory
from salerno.kernel.errors import Conflict, NotFound, Refused, SalernoError
from salerno.kernel.time import Clock, to_text
from salerno.kernel.values import digest
from salerno.standards.dcat import Format
from salerno.standards.did import document_url

RENDERING = "1"
"""Changes whenever `render_catalogue` writes equal descriptions otherwise than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDataset:
    """A description as the store keeps it: who told it, and the digest of its normal form."""

    iri: str
    source: str
    digest: str


class CatalogueStore(Protocol):
    """Descriptions and harvest states of one node, within one transaction."""

    def lock(self) -> None:
        """Be the only writer until the transaction ends."""

    def stamp(self) -> str:
        """A text that differs after every committed change; empty while nothing was ever stored."""

    def entry(self, iri: str) -> StoredDataset | None:
        """Who told of a data set, None when it is not stored."""

    def listing(self) -> list[StoredDataset]:
        """All data sets by IRI, without their descriptions."""

    def load(self, iris: Iterable[str]) -> list[DatasetDescription]:
        """Descriptions of those of the IRIs that are stored, in any order."""

    def put(self, description: DatasetDescription, *, source: str, digest: str, stored_at: str) -> None:
        """Store or replace a description and change the stamp."""

    def remove(self, iri: str) -> None:
        """Remove a description and change the stamp."""

    def harvest_state(self, source: str) -> HarvestState | None:
        """What is remembered of the last harvest of a source."""

    def harvest_states(self) -> list[HarvestState]:
        """The same of all sources, by DID."""

    def put_harvest_state(self, state: HarvestState) -> None:
        """Remember it."""


class CatalogueCache:
    """What a process keeps between transactions: the search index and rendered documents.

    One per node; threads share it. Entries carry the stamp of the store, so nothing stale is used.
    """

    def __init__(self) -> None:
        self.index = SearchIndex()
        self._lock = threading.Lock()
        self._documents: dict[Format, tuple[str, bytes]] = {}

    def document(self, syntax: Format, etag: str, render: Callable[[], bytes]) -> bytes:
        """The document of that version, rendered if need be."""
        with self._lock:
            kept, document = self._documents.get(syntax, ("", b""))
        if kept != etag:
            document = render()
            with self._lock:
                self._documents[syntax] = (etag, document)
        return document


class Catalogue:
    """Use cases on the catalogue, made per transaction.

    Args:
        store: Bound to the transaction.
        audit: Bound to the same transaction.
        clock: The node's clock.
        own_did: The node's DID: source of its own data sets.
        publisher: The organisation that runs the node, for the published catalogue.
        url: The node's address without a slash at the end; derived from the DID when empty.
        cache: Shared by all catalogues of the process; without one every search reads the whole store.
        participants: All admitted participants; harvests check against them who may tell of what.
    """

    def __init__(
        self,
        store: CatalogueStore,
        audit: AuditLog,
        clock: Clock,
        own_did: str,
        *,
        publisher: Agent | None = None,
        url: str = "",
        cache: CatalogueCache | None = None,
        participants: Callable[[], Iterable[Participant]] = tuple,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._own_did = own_did
        self._url = url or node_url(own_did)
        self._publisher = publisher or _unnamed(own_did, self._url)
        self._cache = cache or CatalogueCache()
        self._participants = participants

    # ------------------------------------------------------------------ own data sets

    def publish(self, description: DatasetDescription, by: str) -> bool:
        """Publish or replace a description of an own data set.

        Args:
            description: Must be complete; it is stored in normal form.
            by: Account identifier of the person who publishes.

        Returns:
            Whether anything changed.

        Raises:
            Refused: The data set is not this node's.
            Conflict: Another source tells of a data set of this IRI.
            Invalid: Something mandatory is missing; the sentence names all of it.

        Source:
            EHDS Art. 60(3): the holder describes its data sets to the access body.
        """
        d = normal_form(description)
        if not self._is_own(d.holder):
            raise Refused(
                "not-own-dataset",
                f"The holder of {d.iri} is {d.holder.name or 'not named'}, not this node",
                rule="EHDS Art. 60(3)",
                remedy="Publish it at its holder's node.",
            )
        check_complete(d)
        self._store.lock()
        stored = self._store.entry(d.iri)
        if stored is not None and stored.source != self._own_did:
            raise Conflict(
                "dataset-of-another-source",
                f"{d.iri} was harvested from {stored.source}",
                remedy="Give the data set an IRI under this node's address.",
            )
        new = digest(d)
        if stored is not None and stored.digest == new:
            return False
        self._put(d, self._own_did, new)
        self._audit.append(
            actor=by,
            act="dataset-published",
            subject=d.iri,
            detail={"digest": new, "replaced": stored is not None},
            rule="EHDS Art. 60(3)",
        )
        return True

    def withdraw(self, iri: str, by: str) -> None:
        """Take an own data set out of the catalogue; harvesters lose it with their next harvest.

        Raises:
            NotFound: This node publishes no such data set.
        """
        self._store.lock()
        stored = self._store.entry(iri)
        if stored is None or stored.source != self._own_did:
            raise NotFound(
                "no-such-dataset",
                f"This node publishes no data set {iri}",
                remedy="Ask for the list of its own data sets.",
            )
        self._store.remove(iri)
        self._audit.append(
            actor=by,
            act="dataset-withdrawn",
            subject=iri,
            detail={"digest": stored.digest},
            rule="EHDS Art. 60(3)",
        )

    # ------------------------------------------------------------------ reading

    def dataset(self, iri: str) -> DatasetDescription:
        """One description.

        Raises:
            NotFound: The catalogue has no such data set.
        """
        found = self._store.load([iri])
        if not found:
            raise NotFound(
                "no-such-dataset",
                f"The catalogue has no data set {iri}",
                remedy="Search for it by a word of its title; it may have been withdrawn.",
            )
        return found[0]

    def categories(self, iri: str) -> tuple[DataCategory, ...]:
        """Categories of a data set (Art. 51); none where the catalogue has no such data set."""
        found = self._store.load([iri])
        return found[0].categories if found else ()

    def datasets(self, own_only: bool = False) -> list[DatasetDescription]:
        """All descriptions by IRI.

        Args:
            own_only: Only those that this node publishes as their holder.
        """
        snapshot = self._snapshot()
        if not own_only:
            return list(snapshot.descriptions)
        own = {entry.iri for entry in self._store.listing() if entry.source == self._own_did}
        return [d for d in snapshot.descriptions if d.iri in own]

    def search(
        self,
        text: str = "",
        *,
        category: str | None = None,
        country: str | None = None,
        variable: str | None = None,
        limit: int = 50,
    ) -> list[SearchHit]:
        """Data sets in which every word of the text is found somewhere, the most relevant first.

        Args:
            text: Words or beginnings of words; case and accents do not count. A word that is found nowhere
                is replaced by the nearest known ones, and the hit says so. Empty text finds all.
            category: Code of an Art. 51 category.
            country: Code of the holder's country.
            variable: Name of a variable that the data set must have.
            limit: Most hits.

        Raises:
            Invalid: There is no such category or country.
        """
        filters = Filters.read(category=category, country=country, variable=variable)
        return self._snapshot().search(text, filters, limit)

    # ------------------------------------------------------------------ published document

    def header(self) -> CatalogueHeader:
        """What this node's catalogue says about itself."""
        return CatalogueHeader(
            iri=f"{self._url}/catalogue" if self._url else f"{self._own_did}#catalogue",
            title=f"Health data sets of {self._publisher.name}",
            description="Data sets for secondary use under the European Health Data Space.",
            publisher=self._publisher,
            homepage=self._url,
        )

    def render(self, format: Format = "turtle") -> bytes:
        """The whole catalogue as a document: ``turtle``, ``json-ld`` or ``rdf-xml``.

        Source:
            EHDS Art. 77(1)-(2): public, machine-readable.
        """
        return self._cache.document(
            format,
            self.etag(format),
            lambda: render_catalogue(self.header(), self._snapshot().descriptions, format),
        )

    def etag(self, format: Format = "turtle") -> str:
        """A text that differs whenever `render` would give other bytes."""
        parts = (RENDERING, format, digest(self.header()), self._store.stamp())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    # ------------------------------------------------------------------ harvest

    def harvest(self, source: Participant, fetch: CatalogueSource) -> HarvestReport:
        """Fetch a participant's catalogue and take over what it may tell of.

        A harvest that fails changes no data set and says why in the report. `harvest_outside` does the same
        without holding the transaction while the source answers.
        """
        return self.take_in(source, fetch_outcome(source, fetch, self.etag_of(source.did)))

    def etag_of(self, source: str) -> str:
        """The version of a source's catalogue that was last taken over, empty when none was."""
        state = self._store.harvest_state(source)
        return state.etag if state else ""

    def harvests(self) -> list[HarvestReport]:
        """The last report of every source that was ever harvested."""
        return [state.report for state in self._store.harvest_states()]

    def take_in(self, source: Participant, outcome: Outcome) -> HarvestReport:
        """Take over what a fetch led to; the second half of `harvest`."""
        self._store.lock()
        now = self._clock.now()
        before = self._store.harvest_state(source.did)
        stored = {entry.iri: (entry.source, entry.digest) for entry in self._store.listing()}
        etag = before.etag if before else ""
        report = HarvestReport(source=source.did, harvested_at=now)
        try:
            if isinstance(outcome, SalernoError):
                raise outcome
            if source.did == self._own_did:
                raise Refused("harvest-of-self", "A node does not harvest itself")
            if outcome is None:
                unchanged = tuple(iri for iri, (owner, _) in stored.items() if owner == source.did)
                refused = before.report.refused if before else ()
                report = HarvestReport(
                    source=source.did, harvested_at=now, unchanged=unchanged, refused=refused
                )
            else:
                verdict = judge(source, outcome, stored=stored, participants=self._participants())
                etag = outcome.etag
                for d, new in verdict.put:
                    self._put(d, source.did, new)
                for iri in verdict.removed:
                    self._store.remove(iri)
                report = HarvestReport(
                    source=source.did,
                    harvested_at=now,
                    added=verdict.added,
                    changed=verdict.changed,
                    removed=verdict.removed,
                    unchanged=verdict.unchanged,
                    refused=verdict.refused,
                )
        except SalernoError as error:
            report = HarvestReport(source=source.did, harvested_at=now, error=str(error))
        self._store.put_harvest_state(HarvestState(source=source.did, etag=etag, report=report))
        self._trace(source, report, before)
        return report

    def _trace(self, source: Participant, report: HarvestReport, before: HarvestState | None) -> None:
        """One entry when something changed; a source that stays as it was would only fill the log."""
        last = before.report if before else None
        if report.error:
            if last is None or last.error != report.error:
                self._audit.append(
                    actor=self._own_did,
                    act="catalogue-harvest-failed",
                    subject=source.did,
                    detail={"error": report.error.partition(":")[0]},
                    rule="EHDS Art. 77(1)",
                )
            return
        recovered = last is not None and last.error
        if report.added or report.changed or report.removed or recovered or last is None:
            self._audit.append(
                actor=self._own_did,
                act="catalogue-harvested",
                subject=source.did,
                detail={
                    "added": len(report.added),
                    "changed": len(report.changed),
                    "removed": len(report.removed),
                    "unchanged": len(report.unchanged),
                    "refused": len({finding.dataset for finding in report.refused}),
                },
                rule="EHDS Art. 77(1)",
            )

    def _put(self, d: DatasetDescription, source: str, new: str) -> None:
        self._store.put(d, source=source, digest=new, stored_at=to_text(self._clock.now()))

    def _is_own(self, holder: Agent) -> bool:
        own = Participant(did=self._own_did, role=ParticipantRole.HOLDER, name="", country="", url=self._url)
        return is_agent(own, holder)

    def _snapshot(self) -> Snapshot:
        return self._cache.index.snapshot(self._store.stamp(), self._store.listing, self._store.load)


def node_url(did: str) -> str:
    """The address of a did:web node without a slash at the end; empty for other methods."""
    if not did.startswith("did:web:"):
        return ""
    return document_url(did).removesuffix("/did.json").removesuffix("/.well-known")


def _unnamed(did: str, url: str) -> Agent:
    return Agent(iri=did, name=did, country="", contact=ContactPoint(name="", page=url))
