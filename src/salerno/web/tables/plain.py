"""Tables of what no method's maker took: single figures, lists, records, matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from salerno.web.tables.texts import COUNTED, NOTHING, Table, Teller, make_table


def plain_tables(result: Mapping[str, Any], teller: Teller) -> list[Table]:
    """Whatever no maker took: single figures in one table, lists of records and of figures in their own."""
    singles: list[list[str]] = []
    columns: dict[str, list[Any]] = {}
    tables: list[Table] = []
    for name, value in result.items():
        if isinstance(value, Mapping):
            if all(isinstance(v, Mapping) for v in value.values()) and value:
                tables.append(
                    records_table(teller.word(name), [{"level": k, **v} for k, v in value.items()], teller)
                )
            elif value and all(not isinstance(v, (list, Mapping)) for v in value.values()):
                title = teller.word(name)
                rows = [[teller.word(k), teller.text(k, v)] for k, v in value.items()]
                tables.append(make_table(title, ["Figure", "Value"], rows, teller.note(_counts(value))))
            else:
                tables += plain_tables(value, teller)
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            tables.append(records_table(teller.word(name), value, teller))
        elif isinstance(value, list) and value and all(isinstance(v, list) for v in value):
            wide = max(len(line) for line in value)
            lines = [[str(i + 1), *(teller.text(name, v) for v in line)] for i, line in enumerate(value)]
            tables.append(make_table(teller.word(name), ["Row", *(str(i + 1) for i in range(wide))], lines))
        elif isinstance(value, list):
            if value:  # an empty list has nothing to tell
                columns[name] = value
        else:
            singles.append([teller.word(name), teller.text(name, value)])
    tables = _lists(columns, teller) + tables
    if singles:
        tables.append(make_table("Figures", ["Figure", "Value"], singles, teller.note(_counts(result))))
    return tables


def _counts(values: Mapping[str, Any]) -> list[Any]:
    return [v for k, v in values.items() if k in COUNTED]


def _lists(columns: dict[str, list[Any]], teller: Teller) -> list[Table]:
    by_length: dict[int, list[str]] = {}
    for name, values in columns.items():
        by_length.setdefault(len(values), []).append(name)
    tables = []
    for names in by_length.values():
        rows = [
            [teller.text(n, v) for n, v in zip(names, line, strict=True)]
            for line in zip(*(columns[n] for n in names), strict=True)
        ]
        hidden = [v for n in names if n in COUNTED for v in columns[n]]
        tables.append(
            make_table(
                " and ".join(map(teller.word, names)),
                [teller.word(n) for n in names],
                rows,
                teller.note(hidden),
            )
        )
    return tables


def records_table(title: str, records: Sequence[Mapping[str, Any]], teller: Teller) -> Table:
    """A row for each record, a column for each member that some record has."""
    names = list(
        dict.fromkeys(k for r in records for k, v in r.items() if not isinstance(v, (list, Mapping)))
    )
    rows = [[teller.text(n, r[n]) if n in r else NOTHING for n in names] for r in records]
    hidden = [r[n] for r in records for n in names if n in COUNTED and n in r]
    return make_table(title, [teller.word(n) for n in names], rows, teller.note(hidden))
