"""EHDS Art. 60(3) and 77(1): whose data set it is to tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.catalogue.model import DatasetDescription
from salerno.catalogue.service import harvest_outside
from salerno.identity.model import Participant
from tests.unit.catalogue.world import (
    BORDEAUX,
    FINLAND,
    FRANCE,
    HUB,
    LYON,
    NodeCatalogue,
    TellingSource,
    agent,
    description,
)

OF_LYON = description()
OF_BORDEAUX = description(iri=f"{BORDEAUX.url}/datasets/1", holder=agent(BORDEAUX))
BY_ADDRESS = description(holder=replace(agent(LYON), iri=f"{LYON.url}/about#us"))
IN_FINLAND = description(access_body=agent(FINLAND))
UNDER_BORDEAUX = description(iri=f"{BORDEAUX.url}/datasets/lyon")
LOOKALIKE = description(holder=replace(agent(LYON), iri=f"{LYON.url}9/about"))
OF_NOBODY_KNOWN = description(
    iri="https://elsewhere.example/1", holder=replace(agent(LYON), iri="https://elsewhere.example/holder")
)

TABLE: list[tuple[str, Participant, DatasetDescription, str]] = [
    ("a holder tells of its own data set", LYON, OF_LYON, ""),
    ("a holder may be named by an IRI under its address", LYON, BY_ADDRESS, ""),
    ("but not by one that only begins alike", LYON, LOOKALIKE, "its holder is"),
    ("a holder does not tell of another's", LYON, OF_BORDEAUX, "its holder is Hôpital de Bordeaux"),
    ("an access body tells of the holders in its charge", FRANCE, OF_LYON, ""),
    ("also of a holder that is no participant here", FRANCE, OF_NOBODY_KNOWN, ""),
    (
        "but not of those of another access body",
        FINLAND,
        OF_LYON,
        "the access body in charge is Accès France",
    ),
    ("even if the description names it", FINLAND, IN_FINLAND, "another access body is in charge"),
    ("nobody tells of IRIs under a third one's address", LYON, UNDER_BORDEAUX, "under the address of"),
    ("a hub is in charge of no holder", HUB, OF_LYON, "a hub holds no data"),
]


@pytest.mark.parametrize(
    ("source", "told", "objection"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_a_source_tells_only_what_is_its_own(
    source: Participant, told: DatasetDescription, objection: str, database: Database, keys: KeyRing
) -> None:
    own = FINLAND if source is HUB else HUB
    node = NodeCatalogue(database, own, keys)
    report = harvest_outside(node.open, source, TellingSource(told))
    if objection:
        [finding] = report.refused
        assert objection in finding.what
        assert (report.added, finding.dataset) == ((), told.iri)
    else:
        assert (report.added, report.refused) == ((told.iri,), ())


def test_a_source_cannot_overwrite_or_remove_what_another_told(database: Database, keys: KeyRing) -> None:
    node = NodeCatalogue(database, HUB, keys)
    harvest_outside(node.open, LYON, TellingSource(OF_LYON))
    report = harvest_outside(node.open, FRANCE, TellingSource(replace(OF_LYON, title="Other")))
    assert [finding.what for finding in report.refused] == ["Another source already tells of this data set"]
    assert (report.added, report.changed, report.removed) == ((), (), ())
    harvest_outside(node.open, FRANCE, TellingSource())
    with node.open() as catalogue:
        assert catalogue.dataset(OF_LYON.iri).title == OF_LYON.title


def test_a_data_set_that_left_the_charge_of_a_source_is_removed(database: Database, keys: KeyRing) -> None:
    node = NodeCatalogue(database, HUB, keys)
    harvest_outside(node.open, FRANCE, TellingSource(OF_LYON))
    report = harvest_outside(node.open, FRANCE, TellingSource(replace(OF_LYON, access_body=agent(FINLAND))))
    assert report.removed == (OF_LYON.iri,)
    assert len(report.refused) == 1
