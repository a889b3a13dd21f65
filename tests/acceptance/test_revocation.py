"""A permit that is revoked between two questions answers the first and refuses the second."""

from __future__ import annotations

from pathlib import Path

import pytest

from salerno.kernel.errors import Refused
from salerno.nodes.local import LocalSpace


@pytest.fixture
def sites(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"site{number}.csv" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_text("age\n" + "\n".join(str(20 + number + n % 60) for n in range(120)))
    return paths


def test_the_next_question_after_a_revocation_is_refused(sites: list[Path]) -> None:
    with LocalSpace(sites) as space:
        assert space.ask({"method": "count"})["n"] == 360
        space.revoke("Misuse")
        with pytest.raises(Refused) as caught:
            space.ask({"method": "count"})
    assert caught.value.code == "permit-revoked"
