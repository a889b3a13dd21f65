"""What the demo shows on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.table import Table as RichTable

from salerno.client.answer import Answer
from salerno.kernel.errors import SalernoError
from salerno.nodes.demo.pooled import Comparison
from salerno.nodes.demo.space import Space
from salerno.web.tables import Table, answer_tables

WIDE = 120
MAIN_TABLES = 3


class Screen:
    """The story as numbered steps with their times."""

    def __init__(self, console: Console | None = None) -> None:
        # Redirected output has no width of its own; these tables need some.
        self.console = console or Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
        self._began = monotonic()
        self._step = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step of the story: its number and title, a spinner while it works, its time at the end."""
        self._step += 1
        self.console.print(f"\n[bold]{self._step}  {title}[/bold]")
        began = monotonic()
        with self.console.status("working …"):
            yield
        self.console.print(f"   [dim]{monotonic() - began:.1f} s[/dim]")

    def say(self, sentence: str) -> None:
        """One line of the story."""
        self.console.print(f"   {sentence}")

    def refused(self, attempt: str, error: SalernoError) -> None:
        """An attempt beyond the permit, and why it was refused."""
        self.console.print(f"   [bold]{attempt}[/bold]")
        self.console.print(f"   [red]refused[/red]  {error}")

    def answer(self, title: str, answer: Answer) -> None:
        """An answer's main tables; all of them are in the report."""
        self.console.print(f"\n   [bold]{title}[/bold]  [dim]{_rounds(answer.answer['rounds'])}, "
                           f"{answer.answer['seconds']:.2f} s[/dim]")  # fmt: skip
        for table in answer_tables(answer.answer)[:MAIN_TABLES]:
            self.table(table)
        for note in answer.notes:
            self.console.print(f"   [dim]{note}[/dim]")

    def table(self, table: Table, limit: int = 12) -> None:
        """A table, cut to its first rows."""
        shown = RichTable(title=table.title, title_justify="left", title_style="", pad_edge=False, box=None)
        numeric = table.numeric or (False,) * len(table.columns)
        for column, number in zip(table.columns, numeric, strict=True):
            shown.add_column(str(column), justify="right" if number else "left", header_style="dim")
        for row in table.rows[:limit]:
            shown.add_row(*(str(value) for value in row))
        if len(table.rows) > limit:
            shown.add_row(f"… {len(table.rows) - limit} more in the report")
        self.console.print(_indented(shown))

    def comparisons(self, comparisons: Sequence[Comparison]) -> None:
        """Federated beside pooled, and their difference."""
        self.table(comparison_table(comparisons), limit=100)

    def addresses(self, space: Space, *, kinds: Sequence[str]) -> None:
        """Addresses and log-ins of the portal, one per kind of person."""
        table = Table(
            title="The portal",
            columns=("who", "address", "log-in", "password"),
            rows=tuple(
                (k, space.log_ins[k].url, space.log_ins[k].login, space.log_ins[k].password) for k in kinds
            ),
        )
        self.table(table)

    def end(self) -> None:
        """The time that all took."""
        self.console.print(f"\n[bold]Done in {monotonic() - self._began:.0f} s.[/bold]")


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Federated and pooled figures side by side."""
    return Table(
        title="Federated answer beside the pooled analysis by statsmodels",
        columns=("question", "figure", "federated", "pooled", "relative difference"),
        rows=tuple(
            (c.question, c.figure, f"{c.federated:.8g}", f"{c.pooled:.8g}", f"{c.difference:.1e}")
            for c in comparisons
        ),
        numeric=(False, False, True, True, True),
    )


def _rounds(count: int) -> str:
    return f"{count} round{'' if count == 1 else 's'}"


def _indented(shown: RichTable) -> RichTable:
    shown.padding = (0, 2, 0, 0)
    return shown
