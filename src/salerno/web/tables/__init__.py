"""Answers as tables for people: the portal, the client, the command line and reports show the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from salerno.web.tables.makers import MAKERS, curve_name, matrix_of, no_tables
from salerno.web.tables.notes import SYNTHETIC, disclosure_notes, provenance_facts
from salerno.web.tables.plain import plain_tables
from salerno.web.tables.texts import (
    Table,
    Teller,
    confidence_percent,
    exp,
    min_cell_of,
    number_text,
    p_text,
    range_text,
    ratio_words,
    value_text,
)

__all__ = [
    "SYNTHETIC",
    "Table",
    "answer_tables",
    "confidence_percent",
    "curve_name",
    "disclosure_notes",
    "exp",
    "matrix_of",
    "min_cell_of",
    "number_text",
    "p_text",
    "provenance_facts",
    "range_text",
    "ratio_words",
    "value_text",
]


def answer_tables(answer: Mapping[str, Any]) -> list[Table]:
    """The tables of a method's answer, the main one first.

    Args:
        answer: The JSON of an answer; unknown methods and members are shown too, in a plain form.
    """
    result: dict[str, Any] = dict(answer.get("result") or {})
    teller = Teller(answer)
    make = MAKERS.get(str(answer.get("method")), no_tables)
    tables = make(result, teller)
    tables += plain_tables(result, teller)
    if answer.get("synthetic"):
        return [replace(table, title=f"{table.title} (synthetic)") for table in tables]
    return tables
