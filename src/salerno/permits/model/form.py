"""Forms as data: sections of fields with what each asks, when, and by which article."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any


class FieldKind(StrEnum):
    """What an answer is; in JSON a text, unless the words after the colon say otherwise."""

    LINE = "line"
    TEXT = "text"
    EMAIL = "email"
    COUNTRY = "country"
    CHOICE = "choice"
    CHOICES = "choices"  # a list of texts
    YES_NO = "yes-no"  # a truth value
    CONFIRM = "confirm"  # true
    NUMBER = "number"  # a whole number
    DATASETS = "datasets"  # a list of `DataScope`
    PERSONS = "persons"  # a list of `NamedPerson`


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """A field is asked only when another one has one of these answers; no answer counts as ``""``."""

    field: str
    is_: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One question of a form.

    Args:
        id: Name of the answer, the same in all versions of the form.
        label: The question, for people.
        kind: What an answer is.
        help: A sentence beside it.
        rule: Article that asks for it; empty where the common form alone does.
        required: Whether a form without it cannot be submitted.
        when: On which other answer it depends.
        options: Value and words of each choice.
        pattern: Regular expression of the whole answer.
        least, most: Bounds of a number.
        autocomplete: What browsers may fill in (HTML's token).
    """

    id: str
    label: str
    kind: FieldKind
    help: str = ""
    rule: str = ""
    required: bool = False
    when: When | None = None
    options: tuple[tuple[str, str], ...] = ()
    pattern: str = ""
    least: int | None = None
    most: int | None = None
    autocomplete: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormSection:
    """Questions that belong together; with `per_country` each country is answered by itself."""

    number: str
    title: str
    fields: tuple[FormField, ...]
    help: str = ""
    per_country: bool = False


@dataclass(frozen=True, kw_only=True)
class FormSheet:
    """One version of a form."""

    name: str
    version: int
    title: str
    rule: str
    sections: tuple[FormSection, ...]
    source: str = ""

    @cached_property
    def by_id(self) -> dict[str, FormField]:
        """The fields by name."""
        return {f.id: f for section in self.sections for f in section.fields}

    @property
    def key(self) -> str:
        """Name and version, e.g. ``application/1``."""
        return f"{self.name}/{self.version}"

    @cached_property
    def per_country(self) -> frozenset[str]:
        """Fields that each country is answered by itself."""
        return frozenset(f.id for section in self.sections if section.per_country for f in section.fields)
