"""The checker of our evidence against the profile's own examples: it finds nothing wrong where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.client.five_safes import faults

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "five-safes-crate"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"the profile's examples are not in {FOLDER}")


def test_the_request_is_right() -> None:
    archive = (FOLDER / "example-request.bagit.zip").read_bytes()
    assert faults(archive, published=False) == []


def test_the_faults_of_the_published_result_are_found() -> None:
    archive = (FOLDER / "example-result.bagit.zip").read_bytes()
    found = faults(archive, published=True)
    # Its own mistakes: a table and actors that are not described, outputs outside of hasPart, a typo in a
    # status, "licence" for "license". Bag, profile, workflow, person, project and phases are right.
    assert len(found) == 13
    assert any("table.csv" in fault for fault in found)
    for right in ("bag", "checksum", "manifest", "profile", "workflow crate", "person", "project", "phase"):
        assert not any(right in fault for fault in found if "#bagit" not in fault), right
