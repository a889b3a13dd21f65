"""Rows that are made of a view in stages, and kept from one round of a question to the next.

A tree is grown in some rounds, a model in many, and each round would compute the same codes and the scores of
all trees before anew. So the rows of the last stage stay on the engine as a temporary table; a further stage
is made of it. What is lost with it, be it by a restart or by other questions, is made again stage by stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import ibis.expr.types as ir

from salerno.holdings.engine.aggregates import check_reads
from salerno.holdings.engine.source import Source
from salerno.holdings.service import Stage

_MOST = 2  # questions at once


@dataclass
class _Line:
    """The stages of one question."""

    keys: list[Any] = field(default_factory=list)
    table: ir.Table | None = None
    name: str = ""


class Stages:
    """Kept rows of one view, of the latest questions; for one thread at a time.

    Args:
        source: Where the rows are kept.
        view: What they are made of.
    """

    def __init__(self, source: Source, view: ir.Table) -> None:
        self._source = source
        self._view = view
        self._lines: list[_Line] = []
        self._numbers = count(1)

    def rows(self, stages: Sequence[Stage]) -> ir.Table:
        """The rows of the last stage; the view itself where there is none.

        Raises:
            Refused: A stage reads anything but the rows before it.
            Unavailable: The engine has no room.
        """
        if not stages:
            return self._view
        line = self._line([key for key, _ in stages])
        for key, make in stages[len(line.keys) :]:
            before, left = line.table, line.name
            made = make(self._view if before is None else before)
            check_reads(made, self._view if before is None else before)
            line.name = f"stage_{next(self._numbers)}"  # never used again: rows may be held by their query
            line.table = self._source.keep(line.name, made)
            line.keys.append(key)
            if left:
                self._source.drop(left)
        assert line.table is not None
        return line.table

    def _line(self, keys: list[Any]) -> _Line:
        """The kept line that these stages go on from, or a new one in place of the least used."""
        found = next((line for line in self._lines if line.keys == keys[: len(line.keys)]), None)
        if found is not None:
            self._lines.remove(found)
        else:
            if len(self._lines) == _MOST:
                old = self._lines.pop(0)
                if old.name:  # it has none where its first stage failed
                    self._source.drop(old.name)
            found = _Line()
        self._lines.append(found)
        return found
