"""A self-contained HTML report: one file, its style and plots inside, no script and nothing fetched."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salerno.client.answer import Answer, heading_of, svg_of
from salerno.kernel.errors import Unavailable

if TYPE_CHECKING:
    from salerno.web.tables import Table

_STYLE = """
:root { color-scheme: light; --ink: #1a1f2b; --soft: #5a6270; --line: #d5d9e0; --accent: #0b4f8a; }
* { box-sizing: border-box; }
body { font: 16px/1.5 Arial, Helvetica, sans-serif; color: var(--ink); background: #fff; margin: 0 auto;
  padding: 2rem 1rem; max-width: 62rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 3px solid var(--accent); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
.when, .facts, caption { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1rem; font-size: .92rem; }
caption { text-align: left; font-weight: bold; padding: .25rem 0; color: var(--ink); }
th, td { padding: .35rem .75rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { border-bottom: 2px solid var(--ink); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
pre { background: #f4f6f9; border: 1px solid var(--line); padding: .75rem; overflow-x: auto;
  font-size: .85rem; }
ul.notes { margin: .25rem 0; padding-left: 1.25rem; }
@media print { body { padding: 0; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a report.

    Args:
        title: Heading.
        text: Paragraphs, parted by empty lines; plain text.
        answers: Answers to show with plot, tables and what disclosure control did.
        tables: Further tables, as `salerno.web.tables` makes them.
        after: Tables below the answers.
        listing: Text to show as it is, e.g. a receipt.
    """

    title: str
    text: str = ""
    answers: Sequence[Answer | Mapping[str, Any]] = field(default=())
    tables: Sequence[Table] = field(default=())
    after: Sequence[Table] = field(default=())
    listing: str = ""


def write_report(path: str | Path, title: str, sections: Sequence[Section]) -> Path:
    """Write a report as one HTML file.

    Args:
        path: File to write; its folder is made when it is missing.
        title: Title of the page.
        sections: Parts in reading order.

    Returns:
        The file's path.

    Raises:
        Unavailable: The file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render_report(title, sections), encoding="utf-8")
    except OSError as error:
        raise Unavailable(
            "report-not-written",
            f"{path} cannot be written: {error.strerror or error}",
            remedy="Choose another file, or make room.",
        ) from error
    return path


def render_report(title: str, sections: Sequence[Section]) -> str:
    """The report as an HTML text."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = "\n".join(html_of_section(section) for section in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="when">Made by Salerno on {made}</p></header>\n'
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def html_of_answer(answer: Mapping[str, Any]) -> str:
    """An answer as HTML: facts, plot, tables, notes."""
    from salerno.web.tables import answer_tables, disclosure_notes

    parts = [f'<p class="facts">{escape(_facts(answer))}</p>']
    svg = svg_of(answer)
    if svg is not None:
        parts.append(f"<figure>{embeddable(svg)}</figure>")
    parts += [html_of_table(table) for table in answer_tables(answer)]
    notes = disclosure_notes(answer)
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes)
        parts.append(f'<p>Disclosure control:</p><ul class="notes">{items}</ul>')
    return "\n".join(parts)


def html_of_table(table: Table) -> str:
    """A table as HTML; numbers stand to the right."""
    numeric = table.numeric or (False,) * len(table.columns)
    head = "".join(
        f'<th scope="col"{_right(n)}>{escape(str(c))}</th>'
        for c, n in zip(table.columns, numeric, strict=True)
    )
    lines = "".join(
        "<tr>"
        + "".join(f"<td{_right(n)}>{escape(str(v))}</td>" for v, n in zip(row, numeric, strict=True))
        + "</tr>"
        for row in table.rows
    )
    note = f'<p class="facts">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>{note}"
    )


_IDENTIFIER = re.compile(r'(\bid="|url\(#|href="#|aria-labelledby="|aria-describedby=")([^")]+)')


def embeddable(svg: str) -> str:
    """The SVG for use inside a page: no XML prologue, and identifiers that clash with no other plot's."""
    text = re.sub(r"^\s*(<\?xml[^>]*\?>|<!DOCTYPE[^>]*>)\s*", "", svg)
    text = re.sub(r"^\s*<!DOCTYPE[^>]*>\s*", "", text)
    prefix = f"p{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    return _IDENTIFIER.sub(lambda found: f"{found[1]}{prefix}{found[2]}", text)


def html_of_section(section: Section) -> str:
    """A part of a report as HTML."""
    parts = [f"<section><h2>{escape(section.title)}</h2>"]
    parts += [f"<p>{escape(text.strip())}</p>" for text in section.text.split("\n\n") if text.strip()]
    parts += [html_of_table(table) for table in section.tables]
    for answer in section.answers:
        plain = answer.answer if isinstance(answer, Answer) else answer
        heading = heading_of(plain)
        parts.append(f"<h3>{escape(heading)}</h3>" if heading != section.title else "")
        parts.append(html_of_answer(plain))
    parts += [html_of_table(table) for table in section.after]
    if section.listing:
        parts.append(f"<pre>{escape(section.listing)}</pre>")
    return "\n".join([*parts, "</section>"])


def _facts(answer: Mapping[str, Any]) -> str:
    holders = list(answer["holders"])
    missing = int(answer.get("n_missing", 0))
    left_out = f", {missing:,} left out for missing values" if missing else ""
    many = "s" if len(holders) != 1 else ""
    rounds = int(answer.get("rounds", 0))
    return (
        f"n = {int(answer['n']):,}{left_out}; {len(holders)} holder{many}: {', '.join(map(str, holders))}; "
        f"{rounds} round{'s' if rounds != 1 else ''}, {float(answer.get('seconds', 0)):.2f} s"
    )


def _right(number: bool) -> str:
    return ' class="number"' if number else ""
