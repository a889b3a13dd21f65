"""The numbers that go into figures, and the persons behind these, for the holder alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    # The engine takes long to import, and commands that only show a holding do without.
    import ibis.expr.operations as ops
    import ibis.expr.types as ir
    import numpy as np
    from numpy.typing import NDArray
    from pyroaring import BitMap

Numbers = Mapping["ops.Node", float]
"""Values of an expression's parameters (`ibis.param`): it stays the same from round to round, they do not."""

NO_NUMBERS: Numbers = MappingProxyType({})


class Told(Protocol):
    """Whom figures rest on, as expressions over a view.

    Args:
        rows: Which rows the figures use.
        keys: What they tell apart; no keys for one set of all the rows.
        sums: Amounts whose sum is told for each set.
    """

    @property
    def rows(self) -> ir.BooleanValue:
        """Which rows."""
        ...

    @property
    def keys(self) -> tuple[ir.Value, ...]:
        """What is told apart."""
        ...

    @property
    def sums(self) -> tuple[ir.NumericValue, ...]:
        """What is summed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSets:
    """Sets of persons behind figures, as numbers that mean something at this holder alone.

    Args:
        persons: All of them.
        rows: Number of their rows.
        cells: Those of each combination of the keys.
        numbering: How persons are numbered; other numberings cannot be compared with it.
    """

    persons: BitMap
    rows: int
    cells: dict[tuple[Any, ...], BitMap]
    numbering: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """How much of a sum of sizes the largest contributors make up, one figure per cell.

    Args:
        total: The sum.
        top: Share of the largest few persons of it, as many as the policy names.
        first, second: The largest and the second largest.
    """

    total: NDArray[np.float64]
    top: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
