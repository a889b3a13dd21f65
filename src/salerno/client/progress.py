"""Signs of life on long work: a spinner on a terminal's standard error, and nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def working(sentence: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner with a sentence while the block runs; yields a function that changes the sentence."""
    if not sys.stderr.isatty():
        yield _quiet
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{sentence} …") as status:
        yield lambda news: status.update(f"{news} …")


def _quiet(sentence: str) -> None:
    """Not a terminal: nothing is shown."""
