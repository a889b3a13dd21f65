from __future__ import annotations

from tests.unit.catalogue.conftest import database, keys

__all__ = ["database", "keys"]
