"""Synthetic rows out of a data set's published description, to rehearse a question before it is sent.

They have the description's tables, columns, types and levels, and say nothing about anybody: each column is
drawn by itself, levels with equal shares. OMOP records carry the concepts that the frame asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from salerno.catalogue.model import DatasetDescription, Datatype, TableDescription, Variable
from salerno.kernel.values import digest, to_plain

MOST_ROWS = 4_000
MOST_PERSONS = 1_500
"""Most rows of a plain table, and most persons of OMOP data: enough for the shape of an answer."""

_USUAL_ROWS = 1_000
_RECORDS_PER_PERSON = 3
_FIRST, _LAST = date(2000, 1, 1), date(2019, 12, 31)
_SEXES = (8507, 8532)

_TYPES = {
    Datatype.STRING: pa.string(),
    Datatype.INTEGER: pa.int64(),
    Datatype.NUMBER: pa.float64(),
    Datatype.BOOLEAN: pa.bool_(),
    Datatype.DATE: pa.date32(),
    Datatype.DATETIME: pa.timestamp("us"),
}


def is_omop(description: DatasetDescription) -> bool:
    """Whether a data set is an OMOP CDM, by its tables."""
    return {"person", "observation_period"} <= {table.name for table in description.tables}


def synthetic_tables(
    description: DatasetDescription, frame: Mapping[str, Any] | None = None
) -> dict[str, pa.Table]:
    """Tables to rehearse on, the same ones for the same description and frame.

    Args:
        description: What the holder has published.
        frame: Study frame as JSON; its concepts occur in the records of OMOP data.

    Returns:
        Rows by name of the table.
    """
    seed = int(digest([description.iri, to_plain(frame or {})])[:15], 16)
    if is_omop(description):
        maker = _Omop(description, frame or {}, np.random.default_rng(seed))
        return {table.name: maker.table(table) for table in maker.tables()}
    persons = description.n_persons
    return {
        table.name: _plain(table, description, table.n_rows or persons or _USUAL_ROWS, seed)
        for table in description.tables
    }


def _plain(table: TableDescription, description: DatasetDescription, published: int, seed: int) -> pa.Table:
    size = min(published, MOST_ROWS)
    columns = {}
    for variable in table.variables:
        rng = np.random.default_rng([seed, int(digest([table.name, variable.name])[:15], 16)])
        values = _values(variable, description, size, rng)
        missing = 1 - min(1.0, (variable.n or 0) / table.n_rows) if table.n_rows and variable.n else 0.0
        # Published counts are rounded down: a whole column would seem to lack a value here and there.
        mask = rng.random(size) < (missing if missing > 0.02 else 0.0)
        columns[variable.name] = pa.array(values, type=_TYPES[variable.datatype], mask=mask)
    return pa.table(columns)


def _values(variable: Variable, about: DatasetDescription, size: int, rng: np.random.Generator) -> Any:
    kind = variable.datatype
    if variable.levels:
        return _typed(variable, rng.permutation(np.resize(np.array(variable.levels, dtype=object), size)))
    if kind is Datatype.BOOLEAN:
        return rng.random(size) < 0.5
    if kind in (Datatype.DATE, Datatype.DATETIME):
        first, last = about.covers_from or _FIRST, about.covers_to or _LAST
        return _days(first, rng.integers(0, max((last - first).days, 1), size), kind)
    if kind is Datatype.STRING:
        return np.array([f"synthetic-{i}" for i in range(size)], dtype=object)
    if "age" in variable.name.lower().split("_"):
        youngest, oldest = about.min_age or 18, about.max_age or 95
        drawn = rng.uniform(youngest, max(oldest, youngest + 1), size)
    else:
        drawn = rng.gamma(4.0, 12.0, size) + 1  # above zero, so that it can be a time or be logged
    return np.floor(drawn).astype(np.int64) if kind is Datatype.INTEGER else drawn


_READERS: Mapping[Datatype, Callable[[str], Any]] = {
    Datatype.STRING: str,
    Datatype.INTEGER: int,
    Datatype.NUMBER: float,
    Datatype.BOOLEAN: lambda text: text.lower() in ("true", "1"),
    Datatype.DATE: date.fromisoformat,
    Datatype.DATETIME: datetime.fromisoformat,
}


def _typed(variable: Variable, levels: Any) -> list[Any]:
    return [_READERS[variable.datatype](str(level)) for level in levels]


def _days(first: date, days: Any, kind: Datatype) -> list[Any]:
    found = [first + timedelta(days=int(day)) for day in days]
    return found if kind is Datatype.DATE else [datetime(d.year, d.month, d.day) for d in found]


@dataclass
class _Omop:
    """Makes the tables of one OMOP data set; persons are observed all the time from first to last."""

    description: DatasetDescription
    frame: Mapping[str, Any]
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.n_persons = min(self.description.n_persons or _USUAL_ROWS, MOST_PERSONS)
        self.concepts: dict[str, list[int]] = {}
        for table, concept in _concepts(self.frame):
            self.concepts.setdefault(table, []).append(concept)

    def tables(self) -> Iterator[TableDescription]:
        """The described tables, and the vocabulary's that definitions with descendants need."""
        yield from self.description.tables
        if "concept_ancestor" not in {table.name for table in self.description.tables}:
            yield _ANCESTORS

    def table(self, table: TableDescription) -> pa.Table:
        """Rows of one table; of the vocabulary only what ties a concept to itself."""
        names = [variable.name for variable in table.variables]
        if table.name == "concept_ancestor":
            return self._ancestors(table)
        if "person_id" not in names:
            return pa.table({v.name: pa.array([], type=_TYPES[v.datatype]) for v in table.variables})
        single = table.name in ("person", "observation_period", "death")
        persons = np.arange(1, self.n_persons + 1)
        if table.name == "death":
            persons = persons[self.rng.random(len(persons)) < 0.1]
        elif not single:
            persons = np.repeat(persons, _RECORDS_PER_PERSON)
        begins = self.rng.integers(365, (_LAST - _FIRST).days - 365, len(persons))
        columns = {
            v.name: pa.array(self._column(table.name, v, persons, begins), type=_TYPES[v.datatype])
            for v in table.variables
        }
        return pa.table(columns)

    def _ancestors(self, table: TableDescription) -> pa.Table:
        known = sorted({concept for listed in self.concepts.values() for concept in listed})
        values = {
            v.name: known if v.name.endswith("concept_id") else [0] * len(known) for v in table.variables
        }
        return pa.table({v.name: pa.array(values[v.name], type=_TYPES[v.datatype]) for v in table.variables})

    def _column(self, table: str, variable: Variable, persons: Any, begins: Any) -> Any:
        name, size = variable.name, len(persons)
        if name == "person_id":
            return persons
        if name == f"{table}_id":
            return np.arange(1, size + 1)
        if name == "gender_concept_id":
            return self.rng.choice(_SEXES, size)
        if name == "year_of_birth":
            return self.rng.integers(1925, 1990, size)
        if name in ("month_of_birth", "day_of_birth"):
            return self.rng.integers(1, 13, size)
        if variable.datatype in (Datatype.DATE, Datatype.DATETIME):
            return self._dates(table, variable, begins)
        if name == f"{table.partition('_')[0]}_concept_id":
            return self.rng.choice(self._wanted(table, variable), size)
        if variable.levels:
            return _values(variable, self.description, size, self.rng)
        if name.endswith("_id"):
            return np.zeros(size, dtype=np.int64) if variable.datatype is Datatype.INTEGER else [None] * size
        return _values(variable, self.description, size, self.rng)

    def _wanted(self, table: str, variable: Variable) -> list[int]:
        """Concepts of the frame's definitions, and a few others beside them."""
        wanted = self.concepts.get(table, []) + self.concepts.get("", [])
        others = [int(level) for level in variable.levels if level.lstrip("-").isdigit()]
        return [*wanted, *[concept for concept in others if concept not in wanted][:5]] or [0]

    def _dates(self, table: str, variable: Variable, begins: Any) -> list[Any]:
        end = "_end_" in variable.name
        if table == "observation_period":
            days = np.full(len(begins), (_LAST - _FIRST).days if end else 0)
        elif "birth" in variable.name:
            return [None] * len(begins)
        else:
            days = begins + 30 if end else begins
        return _days(_FIRST, days, variable.datatype)


_ANCESTORS = TableDescription(
    name="concept_ancestor",
    variables=tuple(
        Variable(name=name, datatype=Datatype.INTEGER)
        for name in (
            "ancestor_concept_id",
            "descendant_concept_id",
            "min_levels_of_separation",
            "max_levels_of_separation",
        )
    ),
)


def _concepts(frame: Any) -> Iterator[tuple[str, int]]:
    """Table and concept of each event definition in a frame; no table for concepts of Circe's JSON."""
    if isinstance(frame, Mapping):
        if isinstance(frame.get("concepts"), list | tuple):
            yield from ((str(frame.get("table", "")), int(concept)) for concept in frame["concepts"])
        if isinstance(frame.get("CONCEPT_ID"), int):
            yield "", frame["CONCEPT_ID"]
        for inner in frame.values():
            yield from _concepts(inner)
    elif isinstance(frame, list | tuple):
        for inner in frame:
            yield from _concepts(inner)
