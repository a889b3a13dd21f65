"""Conditions as people write them, one in a line: ``person.year_of_birth >= 1950``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"(?:(?P<table>\w+)\s*\.\s*)?(?P<column>\w+)\s*(?P<operator>==|!=|<=|>=|<|>|=|\bin\b)\s*(?P<value>.+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionLine:
    """One line, taken apart.

    Args:
        text: The line.
        table: Before the dot; empty when there is none.
        column: The column's name.
        operator: ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` or ``in``.
        values: Texts of the values: one, or for ``in`` any number.
    """

    text: str
    table: str
    column: str
    operator: str
    values: tuple[str, ...]


def read_lines(text: str) -> list[ConditionLine]:
    """The conditions of a text, one a line.

    Raises:
        ValueError: A line is no condition; the sentence names it.
    """
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} is no condition: write e.g. 'age >= 50', or 'sex in F, M'")
        operator = "==" if match["operator"] == "=" else match["operator"]
        parts = match["value"].strip("[]() ").split(",") if operator == "in" else [match["value"]]
        found.append(
            ConditionLine(
                text=line,
                table=match["table"] or "",
                column=match["column"],
                operator=operator,
                values=tuple(part.strip().strip("'\"") for part in parts),
            )
        )
    return found
