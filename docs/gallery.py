"""The gallery: one page per method, with an example that was asked of GiBleed in laptop mode.

An example is ``docs/gallery/METHOD.json``: ``{"question": …}``, with a ``frame`` where it is not the usual.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from salerno.analysis.methods import METHODS
from salerno.analysis.model import Method, Parameter
from salerno.analysis.pages.methods import method_menu
from salerno.holdings.rules import pack_folder
from salerno.kernel.errors import SalernoError
from salerno.kernel.values import to_plain
from salerno.nodes.demo_data import GIBLEED_FRAME, gibleed, split_omop
from salerno.nodes.local import LocalSpace
from salerno.web.charts import answer_chart, to_svg
from salerno.web.tables import Table, answer_tables, disclosure_notes

EXAMPLES = Path(__file__).parent / "gallery"
APP = Path(__file__).parent / "examples" / "flower-logistic"
APP_PYTHON = Path(__file__).parents[1] / ".venv" / "flower" / "bin" / "python"
"""The app of the example of federated learning, and what runs it; see ``make flower``."""
HOLDERS = ("Finland", "France", "Italy")
MOST_ROWS = 25
"""Rows of a table that a page shows."""

ABOUT = """# Gallery

Each method with an example: the question, the answer and its plot, and what disclosure control made of it.
The data are GiBleed, 2,694 synthetic persons of OHDSI's Eunomia, split over three data holders; questions
took the real path, with permits, masks and disclosure control on.

Unless a page says otherwise, the study has one row for each new user of celecoxib or diclofenac, with
`group`, `time` in days to a gastrointestinal haemorrhage or the end of half a year, `status`, `age`, `sex`,
`index_year` and `peptic_ulcer`.
"""


def example_of(name: str) -> dict[str, Any] | None:
    """A method's example; None when it has none."""
    path = EXAMPLES / f"{name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def index() -> str:
    """The page that leads to the others."""
    lines = [ABOUT]
    for title, entries in method_menu():
        lines += [f"## {title}", ""]
        lines += [f"- [{label}]({name}.md): {_first(METHODS[name])}" for name, label in entries]
        lines.append("")
    return "\n".join(lines)


def pages() -> Iterator[tuple[str, str]]:
    """Name and text of each method's page; every example is asked."""
    with tempfile.TemporaryDirectory(prefix="salerno-gallery-") as folder:
        whole = gibleed(Path(folder) / "whole")
        parts = split_omop(whole, [Path(folder) / name for name in HOLDERS])
        examples = {name: example_of(name) for name in METHODS}
        answers = answers_of(parts, {n: e for n, e in examples.items() if e is not None})
        for name, method in METHODS.items():
            yield name, _page(method, examples[name], answers.get(name))


def answers_of(parts: list[Path], examples: Mapping[str, Any]) -> dict[str, Any]:
    """Answers by method, or the error; one space per frame, since opening one takes seconds."""
    by_frame: dict[str, list[str]] = {}
    for name, example in examples.items():
        frame = example.get("frame", to_plain(GIBLEED_FRAME))
        by_frame.setdefault(json.dumps(frame), []).append(name)
    answers: dict[str, Any] = {}
    for frame, names in by_frame.items():
        bundles = [pack_folder(APP, (APP / "initial.npz").read_bytes())]
        python = str(APP_PYTHON) if APP_PYTHON.exists() else ""
        with LocalSpace(parts, frame=json.loads(frame), apps=bundles, app_python=python) as space:
            for name in names:
                try:
                    answers[name] = space.ask(examples[name]["question"])
                except SalernoError as error:
                    answers[name] = error
    return answers


def _page(method: Method, example: Mapping[str, Any] | None, answer: Any) -> str:
    about = (method.__doc__ or "").strip().partition("\n")
    lines = [f"# {method.LABEL}", "", about[0], "", about[2].strip().replace("``", "`"), ""]
    lines += ["## The question", "", *_parameters(method.PARAMETERS), ""]
    if example is None:
        return "\n".join([*lines, f"There is no example yet: write `docs/gallery/{method.NAME}.json`.", ""])
    lines += ["```json", json.dumps(example["question"], indent=2), "```", ""]
    if "frame" in example:
        frame = json.dumps(example["frame"], indent=2)
        lines += ["asked of this study frame:", "", "```json", frame, "```", ""]
    return "\n".join([*lines, *_told(answer)])


def _told(answer: Any) -> Iterator[str]:
    yield from ("## The answer", "")
    if isinstance(answer, SalernoError):
        yield from (f"GiBleed's holders refuse it: {answer}", "")
        return
    chart = answer_chart(answer)
    if chart is not None:
        yield from (f'<figure class="plot">{to_svg(chart)}</figure>', "")
    for table in answer_tables(answer):
        yield from _markdown(table)
    yield from ("## What disclosure control did", "")
    yield from (f"- {note}" for note in disclosure_notes(answer))
    rounds, holders = answer["rounds"], len(answer["holders"])
    yield from ("", f"{rounds} rounds over {holders} holders, n = {answer['n']}.", "")


def _parameters(parameters: tuple[Parameter, ...]) -> Iterator[str]:
    yield from ("| member | what | kind | needed |", "|---|---|---|---|")
    for p in parameters:
        what = f"{p.label}. {p.hint}".strip().rstrip(".")
        kind = f"one of {', '.join(v or 'none' for v, _ in p.options)}" if p.options else p.kind
        yield f"| `{p.name}` | {_cell(what)} | {_cell(kind)} | {'no' if p.optional else 'yes'} |"


def _markdown(table: Table) -> Iterator[str]:
    numeric = table.numeric or (False,) * len(table.columns)
    yield from (f"**{_cell(table.title)}**", "")
    yield "| " + " | ".join(map(_cell, table.columns)) + " |"
    yield "|" + "|".join("---:" if right else "---" for right in numeric) + "|"
    for row in table.rows[:MOST_ROWS]:
        yield "| " + " | ".join(map(_cell, row)) + " |"
    left_out = len(table.rows) - MOST_ROWS
    yield from ("", table.note, f"… and {left_out} more rows" if left_out > 0 else "", "")


def _cell(text: str) -> str:
    for sign in "\\|<*_`[":
        text = text.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return text.replace("\n", " ").replace("{", "&#123;")  # braces would be read as attributes


def _first(method: Method) -> str:
    return (method.__doc__ or "").strip().partition("\n")[0]
