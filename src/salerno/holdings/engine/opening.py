"""The engine behind a holder's data: checks a source, measures it, and holds permitted frames ready."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from salerno.adapters.vault import Vault
from salerno.holdings.engine.aggregates import check_aggregate, check_reads
from salerno.holdings.engine.cohorts import Cohorts, CohortShelf
from salerno.holdings.engine.conditions import keep_rows
from salerno.holdings.engine.dictionary import datatype_of, profile
from salerno.holdings.engine.events import KEY
from salerno.holdings.engine.measures import measure_omop, measure_tables
from salerno.holdings.engine.omop_tables import check_types, omop_table, open_omop
from salerno.holdings.engine.permitted import (
    ROWS_RULE,
    permitted_cohorts,
    permitted_rows,
    without_opted_out,
)
from salerno.holdings.engine.sets import Keyed, content_key
from salerno.holdings.engine.source import EngineLimits, Source
from salerno.holdings.engine.sources import open_source, stamp
from salerno.holdings.engine.stages import Stages
from salerno.holdings.engine.studies import attrition_steps, describe_study, study_table
from salerno.holdings.model import (
    NO_NUMBERS,
    AttritionStep,
    Dictionary,
    Holding,
    KeptFor,
    Measured,
    Numbers,
    PersonSets,
    StudyFrame,
)
from salerno.holdings.rules import Columns, check_columns, check_frame, columns_needed
from salerno.holdings.service import OpenedFrame, Persons, Stage, Tell
from salerno.kernel.errors import Invalid, Refused, near
from salerno.kernel.values import digest
from salerno.permits.model import DataScope, OptOutList
from salerno.standards.omop import FIELDS, is_identifier

VIEW = "permitted_view"
HOLDER = "holder"
_TOLD_KEPT = 32


class IbisFrame:
    """A frame that is ready on the engine; see `salerno.holdings.service.OpenedFrame`."""

    def __init__(
        self, source: Source, table: ir.Table, dictionary: Dictionary, n_persons: int, keyed: Keyed
    ) -> None:
        self._source = source
        self._keyed = keyed
        self._told: dict[tuple[bytes, str], PersonSets] = {}
        self._stages = Stages(source, table)
        self._checked: tuple[ops.Node, ops.Node] | None = None
        self.table = table
        self.dictionary = dictionary
        self.n_persons = n_persons

    def staged(self, stages: Sequence[Stage]) -> AbstractContextManager[ir.Table]:
        """The frame's table, or rows that are made of it in stages."""
        return nullcontext(self._stages.rows(stages))

    def check(self, expression: ir.Table, rows: ir.Table | None = None) -> None:
        """Refuse what is not an aggregate over this frame, or over rows that are made of it, alone."""
        pair = (expression.op(), (self.table if rows is None else rows).op())
        if pair != self._checked:  # rounds ask the same again, with other numbers
            check_aggregate(expression, self.table if rows is None else rows)
            self._checked = pair

    def compute(self, expression: ir.Table, numbers: Numbers = NO_NUMBERS) -> pa.Table:
        """Run an expression on the holder's engine."""
        return self._source.sums(expression, numbers)

    def rows(self, expression: ir.Table) -> pa.Table:
        """Rows of this frame alone, for a program in the holder's own sandbox."""
        check_reads(expression, self.table)
        return self._source.fetch(expression)

    def persons(self, build: Tell, secret: bytes, most: int) -> list[Persons]:
        """Whom figures rest on; see `salerno.holdings.service.OpenedFrame`."""
        found = []
        table, wanted = build(self._keyed.table)
        for number, told in enumerate(wanted):
            # The same persons are asked for again and again, by each question about the same columns.
            parts = {f"x{place}": part for place, part in enumerate((told.rows, *told.keys))}
            key = (secret, self._source.text_of(table.select(**parts)))
            if key not in self._told:
                while len(self._told) >= _TOLD_KEPT:
                    self._told.pop(next(iter(self._told)))
                every = self._keyed.is_large and self._means_every(build, number)
                self._told[key] = self._keyed.sets(table, told, secret, every=every)
            found.append((self._told[key], self._keyed.contributions(table, told, most) if most else []))
        return found

    def _means_every(self, build: Tell, number: int) -> bool:
        """Whether the figures of one set are known to rest on all rows."""
        table, wanted = build(self.table)
        return self._source.is_met(table, wanted[number].rows)

    def close(self) -> None:
        """End the connection and all that was kept for the frame."""
        self._source.close()


class IbisEngine:
    """Computes on holdings by Ibis; see `salerno.holdings.service.Engine`. Keeps nothing between calls.

    Args:
        limits: What each opened source may use.
        vault: Where cohorts are kept under a permit; None keeps none.
    """

    def __init__(self, limits: EngineLimits | None = None, vault: Vault | None = None) -> None:
        self._limits = limits or EngineLimits()
        self._vault = vault

    def check(self, holding: Holding) -> None:
        """Raise `Invalid` or `Unavailable` where the source cannot be read or is not of its kind."""
        with self._source(holding) as source:
            if holding.kind == "omop":
                for name in FIELDS:
                    if name in source.names and name not in {"concept", "concept_relationship"}:
                        check_types(source, name)
                return
            tables = source.tables()
            for column in filter(None, (holding.person_column, holding.date_column)):
                if not any(column in table.columns for table in tables.values()):
                    known = {name for table in tables.values() for name in table.columns}
                    raise Invalid(
                        "unknown-column", f"No table has a column {column!r}", remedy=near(column, known)
                    )

    def columns_needed(self, holding: Holding, frame: StudyFrame, columns: tuple[str, ...] = ()) -> Columns:
        """Base columns by table that a frame is computed from, without keys that no study sees."""
        if holding.kind == "omop" and not frame.table:
            return columns_needed(frame)
        if not frame.where and not frame.complete and not columns:
            return {}
        with self._source(holding) as source:
            name, table = self._plain_table(source, holding, frame)
            named = {condition.column for condition in frame.where} | {*frame.complete, *columns}
            unknown = sorted(named - set(table.columns) - {HOLDER})
            if unknown:
                offered = set(table.columns) - _hidden(holding, table)
                raise Invalid(
                    "unknown-column",
                    f"The table {name!r} has no column {unknown[0]!r}",
                    remedy=near(unknown[0], offered),
                )
            return {name: named - {HOLDER}}

    def measure(self, holding: Holding) -> Measured:
        """Variable dictionary and counts of the whole holding."""
        with self._source(holding) as source:
            if holding.kind == "omop":
                return measure_omop(source, holding.policy.min_cell)
            return measure_tables(source, holding)

    def attrition(self, holding: Holding, frame: StudyFrame) -> tuple[AttritionStep, ...]:
        """Persons left after each step of a frame on OMOP; for the holder's own eyes.

        Numbers below the holder's threshold, and steps that leave out fewer than that, read None.
        """
        check_frame(frame)
        with self._source(holding) as source:
            cohorts = permitted_cohorts(source, holding, None, None)
            frame = cohorts.resolved(frame)
            attrition = attrition_steps(frame, cohorts, cohorts.prepare(frame))
            reached = attrition.last()
            counted = reached.group_by("met").aggregate(persons=reached.count())
            counts = {row["met"]: row["persons"] for row in source.fetch(counted).to_pylist()}
        least = holding.policy.min_cell
        shown: list[AttritionStep] = []
        last: int | None = None
        for number, step in enumerate(attrition.steps, 1):
            persons = sum(count for met, count in counts.items() if met >= number)
            safe = persons >= least and (last is None or last == persons or last - persons >= least)
            shown.append(AttritionStep(step=step, persons=persons if safe else None))
            last = persons if safe else last
        return tuple(shown)

    def open(
        self,
        holding: Holding,
        frame: StudyFrame,
        scope: DataScope,
        *,
        left_out: OptOutList,
        min_cell: int,
        holder_name: str,
        kept_for: KeptFor | None = None,
    ) -> OpenedFrame:
        """Hold a frame ready, limited to the permitted rows, dates, columns and persons."""
        source = self._source(holding)
        try:
            if holding.kind == "omop" and not frame.table:
                return self._open_study(
                    source, holding, frame, scope, left_out, min_cell, holder_name, kept_for
                )
            return self._open_plain(source, holding, frame, scope, left_out, min_cell, holder_name)
        except BaseException:
            source.close()
            raise

    def _open_study(
        self,
        source: Source,
        holding: Holding,
        frame: StudyFrame,
        scope: DataScope,
        left_out: OptOutList,
        min_cell: int,
        holder_name: str,
        kept_for: KeptFor | None,
    ) -> IbisFrame:
        check_frame(frame)
        cohorts = self._cohorts(source, holding, scope, left_out, kept_for)
        resolved = cohorts.resolved(frame)
        check_columns(kept_for.permit if kept_for else "", scope, columns_needed(resolved))
        study = study_table(resolved, cohorts)
        rows = keep_rows(study.rows, frame.where, where="The frame", complete=frame.complete)
        # Kept once, as every round reads it: the joins cost more than all sums over their result.
        kept = source.keep("study_frame", rows)
        found = describe_study(source, kept, study, min_cell=min_cell)
        constants = {name: ibis.literal(value) for name, value in study.constants.items()}
        table = kept.mutate(**constants, **{HOLDER: ibis.literal(holder_name)})
        view = source.show(VIEW, table.drop(KEY))
        one_row_each = found.n_persons == found.n_rows
        keyed = Keyed(source, table, by_row=False, one_row_each=one_row_each, n_rows=found.n_rows)
        return IbisFrame(source, view, Dictionary(variables=found.variables), found.n_persons, keyed)

    def _cohorts(
        self,
        source: Source,
        holding: Holding,
        scope: DataScope,
        left_out: OptOutList,
        kept_for: KeptFor | None,
    ) -> Cohorts:
        """The Circe cohorts of a source, with those kept under the permit."""
        shelf = None
        if kept_for is not None and self._vault is not None:
            place = digest([holding, scope, left_out.digest, stamp(holding.source)])
            shelf = CohortShelf(self._vault, kept_for, place)
        return permitted_cohorts(source, holding, scope, left_out, shelf)

    def _open_plain(
        self,
        source: Source,
        holding: Holding,
        frame: StudyFrame,
        scope: DataScope,
        left_out: OptOutList,
        min_cell: int,
        holder_name: str,
    ) -> IbisFrame:
        name, table = self._plain_table(source, holding, frame)
        person = _person_column(holding, table)
        rows = permitted_rows(table, name, holding, scope)
        if left_out and holding.personal:
            rows = without_opted_out(source, holding, name, table, rows, person, left_out)
        rows = keep_rows(rows, frame.where, where=f"The table {name!r}", complete=frame.complete)
        offered = [
            column
            for column in rows.columns
            if column in set(scope.tables.get(name, ()))
            and column not in _hidden(holding, table)
            and datatype_of(rows[column].type()) is not None
        ]
        if not offered:
            raise Refused(
                "permit-column",
                f"The permit covers no column of table {name!r} that a study could see",
                rule=ROWS_RULE,
                remedy="Apply for the columns that the question needs.",
            )
        plain = {column: _plain_type(rows[column]) for column in offered}
        key = rows[person] if person else content_key(source, rows)
        table = rows.select(**plain, **{KEY: key, HOLDER: ibis.literal(holder_name)})
        found = profile(
            source,
            table if person else table.drop(KEY),
            min_cell=min_cell,
            person=KEY if person else "",
            hidden=frozenset({KEY, HOLDER}),
        )
        view = source.show(VIEW, table.drop(KEY))
        one_row_each = found.n_persons == found.n_rows
        keyed = Keyed(source, table, by_row=not person, one_row_each=one_row_each, n_rows=found.n_rows)
        return IbisFrame(source, view, Dictionary(variables=found.variables), found.n_persons, keyed)

    def _source(self, holding: Holding) -> Source:
        if holding.kind == "omop":
            return open_omop(holding.source, self._limits)
        # An identifier is a text: as a number it would lose its zeros, and the opt-out its person.
        fixed = {holding.person_column.lower(): "VARCHAR"} if holding.person_column else {}
        return open_source(holding.source, self._limits, types=lambda table: fixed)

    def _plain_table(self, source: Source, holding: Holding, frame: StudyFrame) -> tuple[str, ir.Table]:
        if frame.groups or frame.outcome or frame.covariates or frame.population:
            raise Invalid(
                "frame-kind",
                "Groups, outcome and covariates are for OMOP data; a table is read as it is",
                remedy="Give only table and conditions.",
            )
        names = source.names
        if not frame.table and len(names) != 1:
            raise Invalid(
                "frame-table",
                f"The data set has {len(names)} tables, and the frame names none",
                remedy=near("", names),
            )
        name = frame.table or names[0]
        if holding.kind == "omop":
            if name not in FIELDS:
                raise Invalid("missing-table", f"There is no table {name!r}", remedy=near(name, FIELDS))
            return name, omop_table(source, name)
        return name, source.table(name)


def _person_column(holding: Holding, table: ir.Table) -> str:
    column = "person_id" if holding.kind == "omop" else holding.person_column
    return column if column in table.columns else ""


def _hidden(holding: Holding, table: ir.Table) -> set[str]:
    """Columns that no study sees, whatever the permit names: direct identifiers and our own column."""
    identifiers = {holding.person_column} if holding.person_column else set()
    if holding.kind == "omop":
        identifiers = {column for column in table.columns if is_identifier(column)}
    return identifiers | {HOLDER, KEY}


def _plain_type(column: ir.Value) -> ir.Value:
    """The column in a type that every method computes with."""
    kind = column.type()
    if isinstance(kind, (dt.Decimal, dt.Float16, dt.Float32)):
        return column.cast("float64")
    if isinstance(kind, dt.Integer) and not isinstance(kind, dt.Int64):
        return column.cast("int64")
    if isinstance(kind, dt.UUID):
        return column.cast("string")
    return column
