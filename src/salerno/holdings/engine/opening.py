"""The engine behind a holder's data: checks a source, measures it, and holds permitted frames ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from secrets import token_bytes

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from salerno.holdings.engine.aggregates import check_aggregate
from salerno.holdings.engine.conditions import keep_rows
from salerno.holdings.engine.dictionary import datatype_of, profile
from salerno.holdings.engine.frame import KEY, build
from salerno.holdings.engine.measures import measure_omop, measure_tables
from salerno.holdings.engine.omop_tables import check_types, omop_table, open_omop
from salerno.holdings.engine.persons import opted_out_keys
from salerno.holdings.engine.sets import Keyed, content_key
from salerno.holdings.engine.source import EngineLimits, Source
from salerno.holdings.engine.sources import open_source
from salerno.holdings.model import AttritionStep, Dictionary, Holding, Measured, PersonSets, StudyFrame
from salerno.holdings.rules import Columns, check_frame, columns_needed
from salerno.holdings.service import OpenedFrame, Persons, Tell
from salerno.kernel.errors import Invalid, Refused, near
from salerno.permits.model import DataScope
from salerno.permits.rules import opt_out_token
from salerno.standards.omop import EVENT_TABLES, FIELDS, VOCABULARY, is_identifier

VIEW = "permitted_view"
HOLDER = "holder"
_OPTED_OUT = "opted_out"
_TOLD_KEPT = 32
_ROWS_RULE = "EHDS Art. 66(1), 68(10)(a)"


class IbisFrame:
    """A frame that is ready on the engine; see `salerno.holdings.service.OpenedFrame`."""

    def __init__(
        self, source: Source, table: ir.Table, dictionary: Dictionary, n_persons: int, keyed: Keyed
    ) -> None:
        self._source = source
        self._keyed = keyed
        self._told: dict[tuple[bytes, str], PersonSets] = {}
        self.table = table
        self.dictionary = dictionary
        self.n_persons = n_persons

    def check(self, expression: ir.Table) -> None:
        """Refuse what is not an aggregate over this frame alone."""
        check_aggregate(expression, self.table)

    def compute(self, expression: ir.Table) -> pa.Table:
        """Run an expression on the holder's engine."""
        return self._source.sums(expression)

    def persons(self, build: Tell, secret: bytes, most: int) -> list[Persons]:
        """Whom figures rest on; see `salerno.holdings.service.OpenedFrame`."""
        found = []
        table, wanted = build(self._keyed.table)
        for told in wanted:
            # The same persons are asked for again and again, by each question about the same columns.
            parts = {f"x{number}": part for number, part in enumerate((told.rows, *told.keys))}
            key = (secret, self._source.text_of(table.select(**parts)))
            if key not in self._told:
                while len(self._told) >= _TOLD_KEPT:
                    self._told.pop(next(iter(self._told)))
                self._told[key] = self._keyed.sets(table, told, secret)
            found.append((self._told[key], self._keyed.contributions(table, told, most) if most else []))
        return found

    def close(self) -> None:
        """End the connection and all that was kept for the frame."""
        self._source.close()


class IbisEngine:
    """Computes on holdings by Ibis; see `salerno.holdings.service.Engine`. Keeps nothing between calls.

    Args:
        limits: What each opened source may use.
    """

    def __init__(self, limits: EngineLimits | None = None) -> None:
        self._limits = limits or EngineLimits()

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
        if not frame.where and not columns:
            return {}
        with self._source(holding) as source:
            name, table = self._plain_table(source, holding, frame)
            named = {condition.column for condition in frame.where} | set(columns)
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
            steps = build(frame, _permitted_omop(source, holding, None, frozenset(), b""))
            counted = ibis.union(
                *(
                    table.aggregate(persons=table.count()).mutate(step=ibis.literal(number))
                    for number, table in enumerate(steps.by_step.values())
                ),
                distinct=False,
            )
            counts = {row["step"]: row["persons"] for row in source.fetch(counted).to_pylist()}
        least = holding.policy.min_cell
        shown: list[AttritionStep] = []
        last: int | None = None
        for number, step in enumerate(steps.by_step):
            persons = int(counts[number])
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
        opted_out: frozenset[str],
        salt: bytes,
        min_cell: int,
        holder_name: str,
    ) -> OpenedFrame:
        """Hold a frame ready, limited to the permitted rows, dates, columns and persons."""
        source = self._source(holding)
        try:
            if holding.kind == "omop" and not frame.table:
                return self._open_study(source, holding, frame, scope, opted_out, salt, min_cell, holder_name)
            return self._open_plain(source, holding, frame, scope, opted_out, salt, min_cell, holder_name)
        except BaseException:
            source.close()
            raise

    def _open_study(
        self,
        source: Source,
        holding: Holding,
        frame: StudyFrame,
        scope: DataScope,
        opted_out: frozenset[str],
        salt: bytes,
        min_cell: int,
        holder_name: str,
    ) -> IbisFrame:
        check_frame(frame)
        tables = _permitted_omop(source, holding, scope, opted_out, salt)
        built = build(frame, tables).frame
        built = keep_rows(built, frame.where, where="The frame")
        # Kept once, as every round reads it: the joins cost more than all sums over their result.
        kept = source.keep("study_frame", built).mutate(**{HOLDER: ibis.literal(holder_name)})
        found = profile(source, kept, min_cell=min_cell, hidden=frozenset({KEY, HOLDER}))
        view = source.show(VIEW, kept.drop(KEY))
        keyed = Keyed(source, kept, by_row=False, one_row_each=True)
        return IbisFrame(source, view, Dictionary(variables=found.variables), found.n_persons, keyed)

    def _open_plain(
        self,
        source: Source,
        holding: Holding,
        frame: StudyFrame,
        scope: DataScope,
        opted_out: frozenset[str],
        salt: bytes,
        min_cell: int,
        holder_name: str,
    ) -> IbisFrame:
        name, table = self._plain_table(source, holding, frame)
        person = _person_column(holding, table)
        rows = _permitted_rows(table, name, holding, scope)
        if opted_out and holding.personal:
            rows = _without_opted_out(source, holding, name, table, rows, person, opted_out, salt)
        rows = keep_rows(rows, frame.where, where=f"The table {name!r}")
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
                rule=_ROWS_RULE,
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
        keyed = Keyed(source, table, by_row=not person, one_row_each=one_row_each)
        return IbisFrame(source, view, Dictionary(variables=found.variables), found.n_persons, keyed)

    def _source(self, holding: Holding) -> Source:
        if holding.kind == "omop":
            return open_omop(holding.source, self._limits)
        # An identifier is a text: as a number it would lose its zeros, and the opt-out its person.
        fixed = {holding.person_column.lower(): "VARCHAR"} if holding.person_column else {}
        return open_source(holding.source, self._limits, types=lambda table: fixed)

    def _plain_table(self, source: Source, holding: Holding, frame: StudyFrame) -> tuple[str, ir.Table]:
        if frame.groups or frame.outcome or frame.covariates:
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


def _permitted_omop(
    source: Source, holding: Holding, scope: DataScope | None, opted_out: frozenset[str], salt: bytes
) -> Callable[[str], ir.Table]:
    """OMOP tables with `KEY`, limited to the permitted rows, dates and persons; without scope, all."""
    made: dict[str, ir.Table] = {}

    def table(name: str) -> ir.Table:
        if name not in made:
            full = omop_table(source, name)
            if name in VOCABULARY:
                made[name] = full
                return full
            rows = full if scope is None else _permitted_rows(full, name, holding, scope)
            if name == "person":
                for optional in ("month_of_birth", "day_of_birth"):
                    if optional not in rows.columns:
                        rows = rows.mutate(**{optional: ibis.null("int64")})
                if opted_out:
                    rows = _without_opted_out(source, holding, name, full, rows, "person_id", opted_out, salt)
            made[name] = rows.mutate(**{KEY: rows.person_id})
        return made[name]

    return table


def _permitted_rows(table: ir.Table, name: str, holding: Holding, scope: DataScope) -> ir.Table:
    """Rows that meet the permit's conditions and dates."""
    try:
        rows = keep_rows(table, scope.rows.get(name, ()), where=f"The table {name!r}")
    except Invalid as error:
        raise Refused(
            "permit-rows",
            f"The permit's conditions on rows cannot be applied: {error.what}",
            rule=_ROWS_RULE,
            remedy="Have the access body correct the permit.",
        ) from error
    if scope.covers_from is None and scope.covers_to is None:
        return rows
    if holding.kind == "omop" and name == "observation_period":
        return _clipped_periods(rows, scope)
    if holding.kind == "omop" and name not in EVENT_TABLES:
        return rows  # persons have no date of record
    column = EVENT_TABLES[name].start if holding.kind == "omop" else holding.date_column
    if not column or column not in rows.columns:
        raise Refused(
            "permit-dates",
            f"The permit is limited to dates of records, and table {name!r} has no column with that date",
            rule=_ROWS_RULE,
            remedy="Have the steward name the date column of the holding.",
        )
    if not isinstance(rows[column].type(), (dt.Date, dt.Timestamp)):
        raise Refused("permit-dates", f"Column {column!r} of table {name!r} is no date", rule=_ROWS_RULE)
    day = rows[column].cast("date")
    if scope.covers_from is not None:
        rows = rows.filter(day >= ibis.literal(scope.covers_from))
    if scope.covers_to is not None:
        rows = rows.filter(day <= ibis.literal(scope.covers_to))
    return rows


def _clipped_periods(periods: ir.Table, scope: DataScope) -> ir.Table:
    """Periods of observation as far as the permitted dates go: what is outside was not observed."""
    start, end = periods.observation_period_start_date, periods.observation_period_end_date
    if scope.covers_from is not None:
        start = ibis.greatest(start, ibis.literal(scope.covers_from))
    if scope.covers_to is not None:
        end = ibis.least(end, ibis.literal(scope.covers_to))
    clipped = periods.mutate(observation_period_start_date=start, observation_period_end_date=end)
    return clipped.filter(clipped.observation_period_start_date <= clipped.observation_period_end_date)


def _without_opted_out(
    source: Source,
    holding: Holding,
    name: str,
    full: ir.Table,
    rows: ir.Table,
    person: str,
    opted_out: frozenset[str],
    salt: bytes,
) -> ir.Table:
    """Rows of those who have not opted out (Art. 71)."""
    if not person:
        raise Refused(
            "opt-out-not-matched",
            f"Persons have opted out, and nothing in table {name!r} tells whose row is whose",
            rule="EHDS Art. 71",
            remedy="Have the steward name the person column, or state that no row is about a person.",
        )
    identifier = "person_source_value" if holding.kind == "omop" else person
    keys = opted_out_keys(source, full, person, identifier, opted_out, salt)
    if keys is None:
        return rows
    left_out = source.keep(_OPTED_OUT, keys.rename({"opted_out_key": person}))
    return rows.anti_join(left_out, rows[person] == left_out.opted_out_key)


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


def read_rows(
    source: str, frame: StudyFrame, *, without: Sequence[str] = (), limits: EngineLimits | None = None
) -> pa.Table:
    """The rows of a frame on an OMOP source, for whoever owns all of the data: demos and tests.

    No door is passed here and no permit asked: a node that serves others never calls it.

    Args:
        source: OMOP source.
        frame: What is read.
        without: Identifiers of persons to leave out.
        limits: What the engine may use.
    """
    check_frame(frame)
    salt = token_bytes(32)
    tokens = frozenset(opt_out_token(salt, person) for person in without)
    holding = Holding(id="", dataset="", title="", source=source, kind="omop", connected_at=datetime.now(UTC))
    with open_omop(source, limits) as opened:
        built = build(frame, _permitted_omop(opened, holding, None, tokens, salt)).frame
        rows: pa.Table = opened.fetch(keep_rows(built, frame.where, where="The frame").drop(KEY))
    return rows
