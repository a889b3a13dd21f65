"""Publish, withdraw, harvest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.audit.service import AuditLog
from salerno.audit.store import SqlAuditStore
from salerno.catalogue.model import HarvestReport
from salerno.catalogue.service import Catalogue, Fetched, harvest_outside
from salerno.catalogue.service.catalogue import node_url
from salerno.catalogue.store import SqlCatalogueStore
from salerno.catalogue.wire import parse_catalogue
from salerno.identity.model import Participant
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from tests.unit.catalogue.world import (
    BORDEAUX,
    FRANCE,
    HUB,
    LYON,
    NodeCatalogue,
    TellingSource,
    agent,
    description,
)

LYON_SET = description()
BORDEAUX_SET = description(
    iri=f"{BORDEAUX.url}/datasets/heart", identifier="heart", title="Heart", holder=agent(BORDEAUX)
)


def harvest(node: NodeCatalogue, source: TellingSource, whose: Participant = FRANCE) -> HarvestReport:
    return harvest_outside(node.open, whose, source)


def stored(node: NodeCatalogue) -> list[str]:
    with node.open() as catalogue:
        return [d.iri for d in catalogue.datasets()]


class TestPublish:
    def test_it_is_found_rendered_and_on_record(self, lyon: NodeCatalogue) -> None:
        with lyon.open() as catalogue:
            assert catalogue.publish(LYON_SET, "sara") is True
            assert catalogue.dataset(LYON_SET.iri) == LYON_SET
            assert catalogue.datasets(own_only=True) == [LYON_SET]
            assert [hit.dataset for hit in catalogue.search("celecoxib")] == [LYON_SET]
            assert parse_catalogue(catalogue.render(), "text/turtle") == [LYON_SET]
            assert parse_catalogue(catalogue.render("json-ld"), "application/ld+json") == [LYON_SET]
        assert lyon.acts() == [("dataset-published", LYON_SET.iri)]

    def test_again_without_change_does_nothing(self, lyon: NodeCatalogue) -> None:
        with lyon.open() as catalogue:
            catalogue.publish(LYON_SET, "sara")
            etag = catalogue.etag()
            assert catalogue.publish(LYON_SET, "sara") is False
            assert catalogue.etag() == etag
            assert catalogue.publish(replace(LYON_SET, title="New"), "sara") is True
            assert catalogue.etag() != etag
        assert len(lyon.acts()) == 2

    def test_incomplete_is_refused_and_nothing_is_stored(self, lyon: NodeCatalogue) -> None:
        with pytest.raises(Invalid, match="dct:provenance"), lyon.open() as catalogue:
            catalogue.publish(replace(LYON_SET, provenance=""), "sara")
        assert stored(lyon) == []

    def test_another_holders_data_set_is_refused(self, lyon: NodeCatalogue) -> None:
        with pytest.raises(Refused, match="Bordeaux"), lyon.open() as catalogue:
            catalogue.publish(BORDEAUX_SET, "sara")

    def test_the_iri_of_a_harvested_data_set_is_taken(self, database: Database, keys: KeyRing) -> None:
        france = NodeCatalogue(database, FRANCE, keys)
        harvest(france, TellingSource(LYON_SET), LYON)
        own = replace(LYON_SET, holder=agent(FRANCE))
        with pytest.raises(Conflict, match="harvested"), france.open() as catalogue:
            catalogue.publish(own, "otto")

    def test_withdrawn_is_gone(self, lyon: NodeCatalogue) -> None:
        with lyon.open() as catalogue:
            catalogue.publish(LYON_SET, "sara")
            catalogue.withdraw(LYON_SET.iri, "sara")
            assert catalogue.search("bleeding") == []
            with pytest.raises(NotFound):
                catalogue.dataset(LYON_SET.iri)
            with pytest.raises(NotFound):
                catalogue.withdraw(LYON_SET.iri, "sara")
        assert [act for act, _ in lyon.acts()] == ["dataset-published", "dataset-withdrawn"]

    def test_a_rolled_back_publication_leaves_no_trace_in_the_index(self, lyon: NodeCatalogue) -> None:
        def publish_and_fail() -> None:
            with lyon.open() as catalogue:
                catalogue.publish(LYON_SET, "sara")
                assert catalogue.search("bleeding")
                raise RuntimeError("power failure")

        with pytest.raises(RuntimeError):
            publish_and_fail()
        with lyon.open() as catalogue:
            assert catalogue.search("bleeding") == []
            assert parse_catalogue(catalogue.render(), "text/turtle") == []
            catalogue.publish(replace(LYON_SET, title="Other"), "sara")
            assert [hit.dataset.title for hit in catalogue.search("")] == ["Other"]


class TestHarvest:
    def test_added_changed_unchanged_removed(self, hub: NodeCatalogue) -> None:
        source = TellingSource(LYON_SET, BORDEAUX_SET)
        report = harvest(hub, source)
        assert report.added == tuple(sorted((LYON_SET.iri, BORDEAUX_SET.iri)))
        assert harvest(hub, source).unchanged == report.added
        source.descriptions = [replace(LYON_SET, title="New")]
        report = harvest(hub, source)
        assert (report.changed, report.removed) == ((LYON_SET.iri,), (BORDEAUX_SET.iri,))
        assert stored(hub) == [LYON_SET.iri]
        assert [act for act, _ in hub.acts()] == ["catalogue-harvested"] * 2
        with hub.open() as catalogue:
            assert catalogue.harvests() == [report]
            assert catalogue.datasets(own_only=True) == []

    def test_unchanged_ones_are_not_written_again(self, hub: NodeCatalogue) -> None:
        source = TellingSource(LYON_SET)
        harvest(hub, source)
        with hub.open() as catalogue:
            etag = catalogue.etag()
        harvest(hub, source)
        with hub.open() as catalogue:
            assert catalogue.etag() == etag

    def test_a_known_version_is_not_sent_again(self, hub: NodeCatalogue) -> None:
        source = TellingSource(LYON_SET)
        source.etag = '"7"'
        harvest(hub, source)
        report = harvest(hub, source)
        assert source.asked == ["", '"7"']
        assert report.unchanged == (LYON_SET.iri,)
        assert not report.removed

    @pytest.mark.parametrize(
        ("document", "media_type", "told"),
        [
            (b"<urn:a> <urn:b>\n x:c .", "text/turtle", "line 2"),
            (b"<html></html>", "text/html", "text/html"),
            (b"", "text/turtle", "neither a dcat:Catalog nor a dcat:Dataset"),
            (b"{}", "application/json", "neither a dcat:Catalog nor a dcat:Dataset"),
        ],
    )
    def test_a_broken_catalogue_changes_nothing_and_says_why(
        self, hub: NodeCatalogue, document: bytes, media_type: str, told: str
    ) -> None:
        source = TellingSource(LYON_SET)
        source.etag = '"1"'
        harvest(hub, source)
        source.document, source.media_type, source.etag = document, media_type, '"2"'
        report = harvest(hub, source)
        assert told in report.error
        assert report.removed == ()
        assert stored(hub) == [LYON_SET.iri]
        with hub.open() as catalogue:
            assert catalogue.etag_of(FRANCE.did) == '"1"'

    def test_a_source_that_is_down_changes_nothing_and_is_recorded_once(self, hub: NodeCatalogue) -> None:
        source = TellingSource(LYON_SET)
        harvest(hub, source)
        source.error = Unavailable("peer-unreachable", "http://127.0.0.1:8103 cannot be reached")
        assert "cannot be reached" in harvest(hub, source).error
        harvest(hub, source)
        assert stored(hub) == [LYON_SET.iri]
        source.error = None
        assert harvest(hub, source).unchanged == (LYON_SET.iri,)
        acts = [act for act, _ in hub.acts()]
        assert acts == ["catalogue-harvested", "catalogue-harvest-failed", "catalogue-harvested"]

    def test_an_empty_catalogue_is_one(self, hub: NodeCatalogue) -> None:
        source = TellingSource(LYON_SET)
        harvest(hub, source)
        source.descriptions = []
        assert harvest(hub, source).removed == (LYON_SET.iri,)

    def test_incomplete_ones_are_refused_and_the_last_complete_version_stays(
        self, hub: NodeCatalogue
    ) -> None:
        source = TellingSource(LYON_SET, BORDEAUX_SET)
        harvest(hub, source)
        document = hub_document(source).replace(
            b'rdfs:label "From the hospital', b'rdfs:comment "From the hospital'
        )
        assert document != hub_document(source)
        source.document = document
        report = harvest(hub, source)
        assert {finding.property for finding in report.refused} == {"dct:provenance"}
        assert report.removed == ()
        assert stored(hub) == sorted((LYON_SET.iri, BORDEAUX_SET.iri))

    def test_a_public_data_set_is_passed_over_and_named(self, hub: NodeCatalogue) -> None:
        source = TellingSource(LYON_SET)
        source.document = hub_document(source).replace(b"access-right/NON_PUBLIC>", b"access-right/PUBLIC>")
        report = harvest(hub, source)
        assert [finding.property for finding in report.refused] == ["dct:accessRights"]
        assert stored(hub) == []

    def test_data_sets_without_or_with_the_same_iri_are_refused(self, hub: NodeCatalogue) -> None:
        source = TellingSource(LYON_SET)
        twin = b'[] a dcat:Dataset ; dct:identifier "%s" .\n[] a dcat:Dataset .\n' % LYON_SET.iri.encode()
        source.document = hub_document(source) + twin
        report = harvest(hub, source)
        assert report.added == (LYON_SET.iri,)
        assert {finding.dataset for finding in report.refused} == {LYON_SET.iri, ""}

    def test_a_node_does_not_harvest_itself(self, hub: NodeCatalogue) -> None:
        assert "harvest-of-self" in harvest(hub, TellingSource(), HUB).error

    def test_within_one_transaction(self, hub: NodeCatalogue) -> None:
        with hub.open() as catalogue:
            report = catalogue.harvest(FRANCE, TellingSource(LYON_SET))
            assert report.added == (LYON_SET.iri,)

    def test_what_was_harvested_is_told_on_as_it_is(
        self, database: Database, hub: NodeCatalogue, keys: KeyRing
    ) -> None:
        other = Database("sqlite://")
        france = NodeCatalogue(other, FRANCE, keys)
        harvest(france, TellingSource(LYON_SET), LYON)

        class Rendering:
            def fetch(self, source: Participant, *, etag: str = "") -> Fetched | None:
                with france.open() as catalogue:
                    return Fetched(content=catalogue.render("rdf-xml"), media_type="application/rdf+xml")

        assert harvest_outside(hub.open, FRANCE, Rendering()).added == (LYON_SET.iri,)
        with hub.open() as catalogue:
            assert catalogue.dataset(LYON_SET.iri) == LYON_SET
        other.close()


def hub_document(source: TellingSource) -> bytes:
    document, source.document = source.document, None
    fetched = source.fetch(FRANCE)
    source.document = document
    assert fetched is not None
    return fetched.content


def test_the_address_of_a_did() -> None:
    assert node_url("did:web:127.0.0.1%3A8101") == "http://127.0.0.1:8101"
    assert node_url("did:web:example.org:nodes:fr") == "https://example.org/nodes/fr"
    assert node_url("did:key:z6Mk") == ""


def test_a_node_without_a_named_publisher_publishes_all_the_same(database: Database, keys: KeyRing) -> None:
    node = NodeCatalogue(database, LYON, keys)
    with database.transaction() as connection:
        log = AuditLog(SqlAuditStore(connection), node.clock, keys, LYON.did)
        catalogue = Catalogue(SqlCatalogueStore(connection), log, node.clock, LYON.did)
        catalogue.publish(replace(LYON_SET, modified=datetime(2026, 1, 1, tzinfo=UTC)), "sara")
        assert catalogue.header().iri == f"{LYON.url}/catalogue"
        assert len(parse_catalogue(catalogue.render(), "text/turtle")) == 1
