"""What commands print: tables for people, JSON for programs, errors and progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from salerno.kernel.errors import SalernoError

PIPE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe, where no terminal says how wide it is."""


def console(*, stderr: bool = False) -> Console:
    """A Rich console; plain text where the stream is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PIPE_WIDTH, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as JSON, the only thing on standard output."""
    from salerno.kernel.values import to_plain

    print(json.dumps(to_plain(value), indent=2, ensure_ascii=False))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", numeric: Sequence[bool] = ()
) -> None:
    """Print a table; numbers stand to the right, absent values show as a dash.

    Args:
        columns: Heads.
        rows: Values, one sequence a row.
        title: Line above it.
        numeric: By column, whether it holds numbers; found out from the values by default.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    lines = [list(row) for row in rows]
    table = Table(
        title=title or None,
        box=SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for index, column in enumerate(columns):
        right = numeric[index] if numeric else any(_is_number(line[index]) for line in lines)
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell(value)) for value in line))
    if lines:
        if title:
            print()
        console().print(table)
    else:
        note(f"{title or 'Nothing'}: none." if title else "Nothing found.")


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair a line; pairs without a value are left out."""
    shown = [(name, cell(value)) for name, value in facts if value not in (None, "", [], {}, ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name:<{width}}  {value}")


def print_answer(answer: dict[str, Any]) -> None:
    """Print an answer's tables with what disclosure control did to them."""
    from salerno.client.answer import heading_of
    from salerno.web.tables import answer_tables, disclosure_notes

    holders = ", ".join(str(holder) for holder in answer["holders"])
    missing = f", {answer['n_missing']} left out for missing values" if answer.get("n_missing") else ""
    console().print(heading_of(answer), style="bold", markup=False)
    print(f"n = {answer['n']}{missing}; {answer['rounds']} rounds, {answer['seconds']:.2f} s; {holders}")
    for table in answer_tables(answer):
        print_table(table.columns, table.rows, title=table.title, numeric=table.numeric)
        if table.note:
            print(table.note)
    for sentence in disclosure_notes(answer):
        print(f"Note: {sentence}")


def cell(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {cell(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(inner) for inner in value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def note(sentence: str) -> None:
    """Say something to the person at the terminal that is not the command's result."""
    print(sentence, file=sys.stderr)


def progress(as_json: bool) -> Callable[[str], AbstractContextManager[Callable[[str], None]]]:
    """How long work shows that it goes on: a spinner, or nothing where a program reads."""
    from salerno.client.progress import working

    return _unseen if as_json else working


def show_error(error: SalernoError, *, as_json: bool) -> None:
    """One red line on standard error, or problem JSON where a program reads."""
    if as_json:
        print(json.dumps(error.to_problem(), ensure_ascii=False), file=sys.stderr)
        return
    console(stderr=True).print(str(error), style="red", markup=False, soft_wrap=True)


def show_unexpected(error: Exception) -> None:
    """What nobody foresaw: its kind alone, since its text may carry values out of somebody's record."""
    sentence = f"unexpected: {type(error).__name__} in {_place(error)}. SALERNO_DEBUG=1 shows where from."
    console(stderr=True).print(sentence, style="red", markup=False, soft_wrap=True)


def _place(error: Exception) -> str:
    frame, place = error.__traceback__, "the command"
    while frame is not None:
        name = str(frame.tb_frame.f_globals.get("__name__", ""))
        if name.startswith("salerno."):
            place = f"{name}:{frame.tb_lineno}"
        frame = frame.tb_next
    return place


def _unseen(sentence: str) -> AbstractContextManager[Callable[[str], None]]:
    return nullcontext(lambda news: None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def print_history(events: Sequence[dict[str, Any]]) -> None:
    """Print what happened to a case, the first thing first."""
    rows = [
        (
            event["at"][:16].replace("T", " "),
            event["country"],
            event["act"],
            "; ".join(
                str(value) for value in event["detail"].values() if value and not isinstance(value, dict)
            ),
        )
        for event in events
    ]
    print_table(("when (UTC)", "country", "what", "words"), rows)


def print_case(case: dict[str, Any], *, whole: bool = False) -> None:
    """Print an application with the state of each country.

    Args:
        case: The JSON of a ``Case``.
        whole: Print the fields of the application too.
    """
    application = case["application"]
    facts = [("application", case["id"]), ("title", application["title"]), ("state", case["state"])]
    if case["kind"] != "application":
        facts.append(("kind", case["kind"]))
    handling = case["handling"]
    if handling["assignee"]:
        facts.append(("handled by", handling["assignee"]))
    if handling["proposal"]:
        facts.append(("proposed", f"{handling['proposal']['verdict']}, by {handling['proposal']['officer']}"))
    if whole:
        left_out = ("title", "data", "persons")
        facts += [(n.replace("_", " "), v) for n, v in application.items() if n not in left_out]
        facts.append(("persons", [person["name"] for person in application["persons"]]))
    print_facts(facts)
    rows = [
        (
            country,
            status["outcome"] or status["state"],
            status["due"],
            status["permit_id"],
            (status["asked"] or {}).get("question") or status["reason"] or status["undelivered"],
        )
        for country, status in case["countries"].items()
    ]
    if rows:
        print_table(("country", "state", "due", "permit", "reason or question"), rows)
    for country, status in case["countries"].items():
        comments = (status["asked"] or {}).get("comments")
        if comments:
            print_table(("field", "what is asked"), list(comments.items()), title=country)
    if whole:
        for scope in application["data"]:
            lines = [(table, ", ".join(columns)) for table, columns in scope["tables"].items()]
            print_table(("table", "columns asked for"), lines, title=scope["dataset"])
