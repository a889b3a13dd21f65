"""Harvest: another node's catalogue is read, judged data set by data set, and taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from salerno.catalogue.model import DatasetDescription, Finding, HarvestReport, Level
from salerno.catalogue.rules import check_description, check_may_tell, mandatory
from salerno.catalogue.wire import read_catalogue
from salerno.identity.model import Participant
from salerno.kernel.errors import Invalid, SalernoError
from salerno.kernel.values import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A catalogue as a source sent it.

    Args:
        content: The document.
        media_type: Its syntax.
        etag: The source's name for this version, empty when it gives none.
    """

    content: bytes = field(repr=False)
    media_type: str
    etag: str = ""


class CatalogueSource(Protocol):
    """Fetches a participant's published catalogue."""

    def fetch(self, source: Participant, *, etag: str = "") -> Fetched | None:
        """The catalogue, or None when it is still the version that `etag` names.

        Raises:
            SalernoError: It cannot be had.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestState:
    """What a node remembers of its last harvest of a source.

    Args:
        etag: Version of the catalogue that was last taken over.
        report: The last report.
    """

    source: str
    etag: str
    report: HarvestReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One description that a source told.

    Args:
        description: In normal form.
        digest: Of it.
        gaps: What keeps it from being complete.
    """

    description: DatasetDescription
    digest: str
    gaps: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A fetched catalogue, read.

    Args:
        told: Its data sets in the document's order.
        findings: Data sets that were passed over, and why.
        etag: The source's name for this version.
    """

    told: tuple[Told, ...]
    findings: tuple[Finding, ...]
    etag: str


Outcome = Read | SalernoError | None
"""What a fetch led to: a catalogue, an error, or nothing new."""


def fetch_outcome(source: Participant, fetch: CatalogueSource, etag: str) -> Outcome:
    """Fetch and read, with the error as a value: a source that is down is an outcome, no failure of ours.

    Needs no transaction, and takes seconds where a catalogue has a thousand data sets.
    """
    try:
        fetched = fetch.fetch(source, etag=etag)
        return None if fetched is None else read_fetched(source, fetched)
    except SalernoError as error:
        return error


def read_fetched(source: Participant, fetched: Fetched) -> Read:
    """The descriptions in a fetched document.

    Raises:
        Invalid: It is no RDF, or has neither a catalogue nor a data set.
    """
    reading = read_catalogue(fetched.content, fetched.media_type, base=source.url)
    if not reading.has_catalogue and not reading.datasets:
        raise Invalid(
            "no-catalogue",
            "The document has neither a dcat:Catalog nor a dcat:Dataset",
            remedy="The source has to publish its catalogue there.",
        )
    told = tuple(
        Told(description=d, digest=digest(d), gaps=mandatory(check_description(d))) for d in reading.datasets
    )
    return Read(told=told, findings=reading.findings, etag=fetched.etag)


class TakesIn(Protocol):
    """The two halves of a harvest that need a transaction; `Catalogue` has them."""

    def etag_of(self, source: str) -> str:
        """The version of a source's catalogue that was last taken over."""

    def take_in(self, source: Participant, outcome: Outcome) -> HarvestReport:
        """Take over what a fetch led to."""


def harvest_outside(
    open_catalogue: Callable[[], AbstractContextManager[TakesIn]],
    source: Participant,
    fetch: CatalogueSource,
) -> HarvestReport:
    """Harvest without holding a transaction while the source answers.

    Args:
        open_catalogue: Opens a transaction and yields the catalogue.
        source: Whose catalogue.
        fetch: How to get it.
    """
    with open_catalogue() as catalogue:
        etag = catalogue.etag_of(source.did)
    outcome = fetch_outcome(source, fetch, etag)
    with open_catalogue() as catalogue:
        return catalogue.take_in(source, outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a document means for the store.

    Args:
        put: Descriptions to store, each with its digest.
        added, changed, removed, unchanged, refused: As in `HarvestReport`.
    """

    put: tuple[tuple[DatasetDescription, str], ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    refused: tuple[Finding, ...]


def judge(
    source: Participant,
    read: Read,
    *,
    stored: dict[str, tuple[str, str]],
    participants: Iterable[Participant],
) -> Judgement:
    """Decide on every data set that a source tells of; pure.

    Args:
        source: Who tells.
        read: What it tells.
        stored: Source and digest of all data sets in the store, by IRI.
        participants: All admitted participants.
    """
    known = tuple(participants)
    put: list[tuple[DatasetDescription, str]] = []
    refused: list[Finding] = list(read.findings)
    kept: dict[str, str] = {}
    for told in read.told:
        d, new = told.description, told.digest
        owner, old = stored.get(d.iri, ("", ""))
        found = _objection(source, d, owner=owner, seen=d.iri in kept, known=known)
        if found is not None:
            refused.append(found)
            continue
        if told.gaps:
            refused += told.gaps
            # The source still tells of it, so what it told when it was complete stays.
            if old:
                kept[d.iri] = "unchanged"
            continue
        kept[d.iri] = "added" if not old else "unchanged" if old == new else "changed"
        if old != new:
            put.append((d, new))
    gone = (iri for iri, (owner, _) in stored.items() if owner == source.did and iri not in kept)
    return Judgement(
        put=tuple(put),
        added=tuple(iri for iri, what in kept.items() if what == "added"),
        changed=tuple(iri for iri, what in kept.items() if what == "changed"),
        removed=tuple(sorted(gone)),
        unchanged=tuple(iri for iri, what in kept.items() if what == "unchanged"),
        refused=tuple(refused),
    )


def _objection(
    source: Participant, d: DatasetDescription, *, owner: str, seen: bool, known: tuple[Participant, ...]
) -> Finding | None:
    what = ""
    if owner and owner != source.did:
        what = "Another source already tells of this data set"
    elif seen:
        what = "The catalogue has two data sets of this IRI"
    if what:
        return Finding(
            level=Level.MANDATORY,
            dataset=d.iri,
            property="dcat:Dataset",
            what=what,
            remedy="A data set has one source: it has to be withdrawn there first.",
            rule="one IRI, one data set, one source",
        )
    return check_may_tell(source, d, known) if d.iri else None
