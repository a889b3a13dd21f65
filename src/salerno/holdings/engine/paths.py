"""Frames of treatment patterns: which treatments follow each other after an index date."""

from __future__ import annotations

import functools
import operator

import ibis
import ibis.expr.types as ir

from salerno.holdings.engine.events import KEY, Tables, days_between, joined, lasting
from salerno.holdings.engine.frame import ENTRY
from salerno.holdings.engine.memberships import entry_columns
from salerno.holdings.model import Treatments

NEXT = " > "
WITH = "+"
NONE = "none"
"""Path of an entry without any of the treatments."""


def paths_frame(asked: Treatments, entries: ir.Table, tables: Tables) -> ir.Table:
    """One row per entry with its path; see `Treatments`."""
    lines = _lines(asked, _spans(asked, entries, tables))
    in_order = ibis.window(group_by=ENTRY, order_by=lines.day)
    before = lines["name"].lag().over(in_order)
    changed = lines.mutate(is_new=(before.isnull() | (before != lines["name"])))
    fresh = changed.filter(changed.is_new)
    ranked = fresh.mutate(line=ibis.row_number().over(ibis.window(group_by=ENTRY, order_by=fresh.day)))
    told = ranked.filter(ranked.line < asked.most_lines)
    paths = told.group_by(ENTRY).aggregate(
        # Not as an ordered text aggregate, which Spark does not have.
        path=_in_a_row([told["name"].max(where=told.line == line) for line in range(asked.most_lines)], NEXT),
        first_line=told["name"].max(where=told.line == 0),
        n_lines=told.count().cast("int64"),
    )
    table = entries.left_join(paths, ENTRY).drop(*(f"{key}_right" for key in ENTRY))
    return table.select(
        **{
            KEY: table[KEY],
            "group": table.group,
            "path": table.path.fill_null(NONE),
            "first_line": table.first_line.fill_null(NONE),
            "n_lines": table.n_lines.fill_null(0),
            **entry_columns(table),
        }
    )


def _spans(asked: Treatments, entries: ir.Table, tables: Tables) -> ir.Table:
    """Days from the index date on which each treatment begins and ends, within follow-up."""
    parts = [
        lasting(definition, tables).mutate(treatment=ibis.literal(name))
        for name, definition in sorted(asked.events.items())
    ]
    every = parts[0] if len(parts) == 1 else ibis.union(*parts, distinct=False)
    eras = joined(every, [KEY, "treatment"], asked.gap_days)
    both = entries.select(*ENTRY, "index_date", last=entries.days).join(eras, KEY, how="inner")
    both = both.mutate(
        begin=days_between(both.date, both.index_date).cast("int64"),
        end=ibis.least(days_between(both.until, both.index_date), both["last"]).cast("int64"),
    )
    return both.filter((both.begin >= 0) & (both.begin <= both["last"])).select(
        *ENTRY, "treatment", "begin", "end"
    )


def _lines(asked: Treatments, spans: ir.Table) -> ir.Table:
    """What is taken together from which day on: `ENTRY`, ``day`` and ``name``, one row per line.

    The days on which any treatment begins or has ended cut the time into pieces with one set of treatments
    each. Several together for fewer than `combination_days` are no combination but a switch: only the
    treatment that began last counts there.
    """
    ends = spans.select(*ENTRY, day=spans.end + 1)
    cuts = spans.select(*ENTRY, day=spans.begin).union(ends, distinct=True)
    following = cuts.day.lead().over(ibis.window(group_by=ENTRY, order_by=cuts.day))
    pieces = cuts.mutate(until=following)
    pieces = pieces.filter(pieces.until.notnull()).select(*ENTRY, "day", "until")
    both = pieces.join(spans, ENTRY, how="inner")
    taken = both.filter((both.begin <= both.day) & (both.end >= both.day))
    sizes = ibis.window(group_by=[*ENTRY, "day"])
    taken = taken.mutate(size=taken.count().over(sizes), newest=taken.begin.max().over(sizes))
    short = (taken["size"] > 1) & (taken.until - taken.day < asked.combination_days)
    kept = taken.filter(~short | (taken.begin == taken.newest))
    sets = kept.group_by([*ENTRY, "day", "until"]).aggregate(
        name=_in_a_row(
            [kept.treatment.max(where=kept.treatment == name) for name in sorted(asked.events)], WITH
        )
    )
    # Neighbours of one set are one line; how long it lasts tells whether it counts.
    before = ibis.window(group_by=ENTRY, order_by=sets.day)
    apart = (sets["name"] != sets["name"].lag().over(before)).fill_null(True)
    marked = sets.mutate(begins=apart.ifelse(1, 0).cast("int64"))
    numbered = marked.mutate(
        line=marked.begins.sum().over(ibis.window(group_by=ENTRY, order_by=marked.day, preceding=(None, 0)))
    )
    lines = numbered.group_by([*ENTRY, "line", "name"]).aggregate(
        day=numbered.day.min(), days=(numbered.until - numbered.day).sum()
    )
    return lines.filter(lines["days"] >= asked.min_days).select(*ENTRY, "day", "name")


def _in_a_row(names: list[ir.StringValue], between: str) -> ir.StringValue:
    """The names that are not missing, as one text."""
    parts = [(between + name).fill_null("") for name in names]
    return functools.reduce(operator.add, parts).substr(len(between))
