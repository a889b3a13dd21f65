"""Cohorts of Circe definitions: computed on the permitted tables, and kept for the permit's next question.

The queries of a definition see nothing but views on permitted rows. A view has every column of the standard,
but only those that the definition needs, and those that link rows, hold values: the rest are null. So a
definition cannot read more than was checked against the permit, whatever its SQL says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from salerno.adapters.vault import Vault
from salerno.holdings.engine.code_sets import code_sets
from salerno.holdings.engine.events import KEY, Tables, cohort_name
from salerno.holdings.engine.omop_tables import TYPES
from salerno.holdings.engine.source import Source
from salerno.holdings.model import EventDefinition, KeptFor, StudyFrame
from salerno.holdings.rules import definitions
from salerno.kernel.errors import Conflict, NotFound, near
from salerno.kernel.values import digest, from_json, to_json
from salerno.standards.circe import CODE_SETS, PREFIX, ROWS, CirceScript, circe_script
from salerno.standards.omop import FIELDS, VOCABULARY, is_identifier

_NAMES = "cohort names"

DIALECTS = {"duckdb": "duckdb", "postgres": "postgresql", "pyspark": "spark", "trino": "trino"}
"""The dialect of each Ibis engine; see `salerno.standards.circe.DIALECTS`."""


@dataclass(frozen=True)
class Cohort:
    """A cohort on an engine.

    Args:
        rows: `KEY`, ``date`` and ``until``, one row per entry.
        passed: `KEY` and ``passed`` of those with a qualifying event: how many of the inclusion rules, from
            the first on, one and the same event meets at most.
        rules: Names of the inclusion rules.
    """

    rows: ir.Table
    passed: ir.Table
    rules: tuple[str, ...]


class CohortShelf:
    """The cohorts of one permit, and their names, sealed under the permit's key.

    Args:
        vault: Where they are kept.
        kept: Under which permit, and until when.
        place: Digest of all that a cohort's rows depend on beside its definition.
    """

    def __init__(self, vault: Vault, kept: KeptFor, place: str) -> None:
        self._vault = vault
        self._kept = kept
        self._place = place

    def load(self, definition: EventDefinition) -> tuple[pa.Table, pa.Table] | None:
        """Rows and steps of a cohort, or None where it is not kept."""
        rows, passed = (self._vault.read(self._kept.permit, name) for name in self._names(definition))
        if rows is None or passed is None:
            return None
        return pq.read_table(pa.BufferReader(rows)), pq.read_table(pa.BufferReader(passed))

    def store(self, definition: EventDefinition, rows: pa.Table, passed: pa.Table) -> None:
        """Keep a cohort until the permit ends."""
        for table, name in zip((rows, passed), self._names(definition), strict=True):
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink)
            self._write(name, sink.getvalue().to_pybytes())

    def name(self, saved: Mapping[str, EventDefinition]) -> None:
        """Give cohorts their names.

        Raises:
            Conflict: A name stands for another definition under this permit.
        """
        known = self.names()
        for name, definition in saved.items():
            if known.get(name, definition) != definition:
                raise Conflict(
                    "cohort-name",
                    f"The permit has another cohort saved under the name {name!r}",
                    remedy="Choose another name.",
                )
        if not saved.keys() <= known.keys():
            self._write(_NAMES, to_json({**known, **saved}))

    def names(self) -> dict[str, EventDefinition]:
        """Definitions by name."""
        data = self._vault.read(self._kept.permit, _NAMES)
        return {} if data is None else from_json(data, dict[str, EventDefinition], what="the saved cohorts")

    def _names(self, definition: EventDefinition) -> tuple[str, str]:
        stem = digest([definition.circe, self._place])
        return f"cohort {stem} rows", f"cohort {stem} passed"

    def _write(self, name: str, data: bytes) -> None:
        self._vault.write(self._kept.permit, name, data, until=self._kept.until)


class Cohorts:
    """The Circe cohorts of one opened source.

    Args:
        source: Where they are computed.
        tables: OMOP tables, already without what must not be read.
        shelf: Where they are kept; None keeps them no longer than the source is open.
        persons: `KEY` of the only persons whose records may be read; None where the tables have no others.
    """

    def __init__(
        self,
        source: Source,
        tables: Tables,
        shelf: CohortShelf | None = None,
        persons: ir.Table | None = None,
    ) -> None:
        self._source = source
        self._tables = tables
        self._shelf = shelf
        self._persons = persons
        self._permitted: ir.Table | None = None
        self._made: dict[str, Cohort] = {}

    def resolved(self, frame: StudyFrame) -> StudyFrame:
        """The frame with definitions in the place of names, its own cohorts saved.

        Raises:
            NotFound: The permit has no cohort of that name.
            Conflict: See `CohortShelf.name`.
        """
        if self._shelf is not None:
            self._shelf.name(frame.save)
        known = {**(self._shelf.names() if self._shelf else {}), **frame.save}

        def meant(value: Any) -> Any:
            if isinstance(value, EventDefinition) and value.cohort:
                if value.cohort not in known:
                    raise NotFound(
                        "no-such-cohort",
                        f"No cohort is saved as {value.cohort!r} under this permit",
                        remedy=near(value.cohort, known),
                    )
                return known[value.cohort]
            if isinstance(value, dict):
                return {name: meant(part) for name, part in value.items()}
            return value

        named = {name: meant(getattr(frame, name)) for name in ("groups", "outcome", "competing")}
        covariates = tuple(replace(c, event=meant(c.event)) for c in frame.covariates)
        population, treatments = frame.population, frame.treatments
        if population is not None:
            population = replace(
                population, outcomes=meant(population.outcomes), target=meant(population.target)
            )
        if treatments is not None:
            treatments = replace(treatments, events=meant(treatments.events))
        return replace(frame, covariates=covariates, population=population, treatments=treatments, **named)

    def prepare(self, frame: StudyFrame) -> Tables:
        """Compute the cohorts of a resolved frame; gives its tables, cohorts among them."""
        for definition in definitions(frame):
            if definition.circe is not None and cohort_name(definition) not in self._made:
                self._made[cohort_name(definition)] = self._cohort(definition)
        made = {name: cohort.rows for name, cohort in self._made.items()}
        return lambda name: made[name] if name in made else self._tables(name)

    @property
    def repeats_queries(self) -> bool:
        """See `Source`."""
        return self._source.repeats_queries

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute what several parts of a frame build on."""
        return self._source.keep(name, expression)

    def cohort(self, definition: EventDefinition) -> Cohort:
        """A cohort that has been prepared."""
        return self._made[cohort_name(definition)]

    def _cohort(self, definition: EventDefinition) -> Cohort:
        assert definition.circe is not None
        engine = str(self._source.backend.name)
        script = circe_script(definition.circe, DIALECTS[engine])
        stem = f"cohort_{digest(definition.circe)[:16]}"
        kept = self._shelf.load(definition) if self._shelf else None
        if kept is not None:
            rows, passed = (ibis.memtable(table) for table in kept)
            return Cohort(
                self._source.keep(stem, rows), self._source.keep(f"{stem}_passed", passed), script.rules
            )
        rows, passed = self._compute(script, stem)
        if self._shelf is not None:
            self._shelf.store(definition, self._source.fetch(rows), self._source.fetch(passed))
        return Cohort(rows, passed, script.rules)

    def _compute(self, script: CirceScript, stem: str) -> tuple[ir.Table, ir.Table]:
        source = self._source
        shown = [name for name in script.columns if name not in VOCABULARY]

        def needed(name: str) -> ir.Table:
            return _limited(self._records(name), name, script.columns[name])

        for name in shown:
            source.show(PREFIX + name, needed(name))
        made = {CODE_SETS: source.keep(CODE_SETS, code_sets(source, needed, script))}
        for name, query in script.tables:
            made[name] = _lower(source.make(name, query))
        found = made[ROWS]
        rows = source.keep(
            stem,
            found.select(
                **{
                    KEY: found.subject_id.cast("int64"),
                    "date": found.cohort_start_date.cast("date"),
                    "until": found.cohort_end_date.cast("date"),
                }
            ),
        )
        passed = source.keep(f"{stem}_passed", _passed(made["qualified_events"], made["inclusion_events"]))
        for name in (*made, *(PREFIX + name for name in shown)):
            source.drop(name)
        return rows, passed

    def _records(self, name: str) -> ir.Table:
        """A table's records of the persons that may be read: not every criterion passes by their table."""
        table = self._tables(name)
        if self._persons is None or KEY not in table.columns:
            return table
        if self._permitted is None:
            self._permitted = self._source.keep("permitted_persons", self._persons)
        return table.semi_join(self._permitted, KEY)


def _lower(table: ir.Table) -> ir.Table:
    return table.rename(dict(zip([c.lower() for c in table.columns], table.columns, strict=True)))


def _limited(table: ir.Table, name: str, columns: frozenset[str]) -> ir.Table:
    """All columns of the standard; only the named ones, and those that link rows, hold values."""
    return table.select(
        **{
            column: table[column]
            if column in table.columns and (column in columns or is_identifier(column))
            else ibis.null(TYPES[kind])
            for column, kind in FIELDS[name].items()
        }
    )


def _passed(qualified: ir.Table, included: ir.Table) -> ir.Table:
    """Per person with a qualifying event, the most inclusion rules from the first on that one event meets."""
    met = included.select(
        **{
            KEY: included.person_id.cast("int64"),
            "event_id": included.event_id.cast("int64"),
            "rule": included.inclusion_rule_id.cast("int64"),
        }
    ).distinct()
    # The rules that an event meets, in order: the first that is not in its place ends the row.
    place = ibis.row_number().over(ibis.window(group_by=[KEY, "event_id"], order_by=met.rule))
    placed = met.mutate(fits=(met.rule == place.cast("int64")).ifelse(1, 0).cast("int64"))
    each = placed.group_by([KEY, "event_id"]).aggregate(n=placed.fits.sum().cast("int64"))
    best = each.group_by(KEY).aggregate(best=each.n.max())
    persons = qualified.select(**{KEY: qualified.person_id.cast("int64")}).distinct()
    joined = persons.left_join(best, KEY)
    return joined.select(KEY, passed=joined.best.fill_null(0).cast("int64"))
