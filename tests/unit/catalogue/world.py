"""A small world for catalogue tests: participants, a full description, a node on a real database."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.audit.service import AuditLog
from salerno.audit.store import SqlAuditStore
from salerno.audit.store import metadata as audit_metadata
from salerno.catalogue.model import (
    Agent,
    CatalogueHeader,
    ContactPoint,
    DatasetDescription,
    Datatype,
    TableDescription,
    Variable,
)
from salerno.catalogue.service import Catalogue, CatalogueCache, Fetched
from salerno.catalogue.store import SqlCatalogueStore, metadata
from salerno.catalogue.wire import render_catalogue
from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.codes import DataCategory
from salerno.kernel.errors import SalernoError

LYON_URL, BORDEAUX_URL, FRANCE_URL, FINLAND_URL, HUB_URL = (
    f"http://127.0.0.1:{port}" for port in (8101, 8102, 8103, 8104, 8105)
)


def participant(
    url: str, role: ParticipantRole, name: str, country: str, access_body: str = ""
) -> Participant:
    did = "did:web:" + url.removeprefix("http://").replace(":", "%3A")
    return Participant(did=did, role=role, name=name, country=country, url=url, access_body=access_body)


FRANCE = participant(FRANCE_URL, ParticipantRole.ACCESS_BODY, "Accès France", "FR")
FINLAND = participant(FINLAND_URL, ParticipantRole.ACCESS_BODY, "Lupa Suomi", "FI")
LYON = participant(LYON_URL, ParticipantRole.HOLDER, "Hôpital de Lyon", "FR", FRANCE.did)
BORDEAUX = participant(BORDEAUX_URL, ParticipantRole.HOLDER, "Hôpital de Bordeaux", "FR", FRANCE.did)
HUB = participant(HUB_URL, ParticipantRole.HUB, "European platform", "EU")
EVERYBODY = (FRANCE, FINLAND, LYON, BORDEAUX, HUB)


def agent(who: Participant) -> Agent:
    return Agent(
        iri=who.did,
        name=who.name,
        country=who.country,
        contact=ContactPoint(name="Front desk", email="desk@example.org", page=f"{who.url}/contact"),
    )


def description(**changes: Any) -> DatasetDescription:
    """A complete description of a data set in Lyon, with what the test changes."""
    drug_era = TableDescription(
        name="drug_era",
        title="Spans of treatment",
        n_rows=1500,
        variables=(
            Variable(name="person_id", datatype=Datatype.STRING, title="Person", description="Pseudonym."),
            Variable(
                name="drug_concept_id",
                datatype=Datatype.INTEGER,
                description="The ingredient.",
                n=1480,
                levels=("1118084", "1124300"),
                concept="https://athena.ohdsi.org/search-terms/terms/1118084",
            ),
        ),
    )
    person = TableDescription(
        name="person",
        variables=(
            Variable(name="gender", datatype=Datatype.STRING, levels=("F", "M")),
            Variable(name="birth_year", datatype=Datatype.INTEGER),
        ),
    )
    full = DatasetDescription(
        iri=f"{LYON_URL}/datasets/bleeding",
        identifier="bleeding",
        title="Gastrointestinal bleeding in Lyon",
        description="Records of people treated with anti-inflammatory drugs.",
        holder=agent(LYON),
        access_body=agent(FRANCE),
        categories=(DataCategory.EHRS, DataCategory.HRAD),
        keywords=("bleeding", "celecoxib"),
        provenance="From the hospital's record system, mapped to OMOP.",
        modified=datetime(2026, 10, 1, 12, 30, 15, 250, tzinfo=UTC),
        tables=(drug_era, person),
        n_records=1500,
        n_persons=890,
        min_age=18,
        max_age=95,
        covers_from=date(2010, 1, 1),
        covers_to=date(2025, 12, 31),
        population_coverage="Adults treated in Lyon.",
        coding_systems=("http://www.wikidata.org/entity/Q1753883",),
        access_url=f"{FRANCE_URL}/applications/new",
    )
    return replace(full, **changes)


HEADER = CatalogueHeader(
    iri=f"{LYON_URL}/catalogue",
    title="Data sets of Lyon",
    description="All of them.",
    publisher=agent(LYON),
    homepage=LYON_URL,
)


class TellingSource:
    """A source that publishes what the test tells it to; documents are really rendered and parsed."""

    def __init__(self, *descriptions: DatasetDescription) -> None:
        self.descriptions: Iterable[DatasetDescription] = descriptions
        self.document: bytes | None = None
        self.media_type = "text/turtle"
        self.error: SalernoError | None = None
        self.etag = ""
        self.asked: list[str] = []

    def fetch(self, source: Participant, *, etag: str = "") -> Fetched | None:
        self.asked.append(etag)
        if self.error is not None:
            raise self.error
        if etag and etag == self.etag:
            return None
        document = self.document
        if document is None:
            document = render_catalogue(HEADER, self.descriptions, "turtle")
        return Fetched(content=document, media_type=self.media_type, etag=self.etag)


class NodeCatalogue:
    """One node's catalogue on a database, opened per transaction as in a node."""

    def __init__(self, database: Database, own: Participant, keys: KeyRing) -> None:
        self.database = database
        self.own = own
        self.clock = FixedClock(datetime(2026, 11, 2, 9, tzinfo=UTC))
        self.cache = CatalogueCache()
        self.keys = keys
        self.known: tuple[Participant, ...] = EVERYBODY
        metadata.create_all(database.engine)
        audit_metadata.create_all(database.engine)

    def open(self) -> AbstractContextManager[Catalogue]:
        return self.database.opens(
            lambda connection: Catalogue(
                SqlCatalogueStore(connection),
                AuditLog(SqlAuditStore(connection), self.clock, self.keys, self.own.did),
                self.clock,
                self.own.did,
                publisher=agent(self.own),
                url=self.own.url,
                cache=self.cache,
                participants=lambda: self.known,
            )
        )()

    def acts(self) -> list[tuple[str, str]]:
        with self.database.transaction() as connection:
            log = AuditLog(SqlAuditStore(connection), self.clock, self.keys, self.own.did)
            return [(entry.act, entry.subject) for entry in log.entries()]
