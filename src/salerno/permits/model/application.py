"""What is asked for: a data access application (Art. 67), its data sets and persons."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from salerno.kernel.codes import Purpose

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One row condition; a list of them holds when all hold. `value` is a list for ``in``."""

    # One list type only: a JSON reader cannot tell two apart.

    column: str
    operator: Operator
    value: str | int | float | bool | list[str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataScope:
    """What is asked for, or permitted, of one data set (Art. 67(2)(d), 68(10)(a)).

    Args:
        dataset: IRI of the data set.
        holder: DID of its holder.
        country: Country of the access body in charge.
        tables: Column names by table; a column that is not named is not permitted.
        rows: Conditions by table that every permitted row meets.
        covers_from, covers_to: Dates of records, inclusive; None means no bound.
    """

    dataset: str
    holder: str
    country: str
    tables: dict[str, tuple[str, ...]]
    rows: dict[str, tuple[Condition, ...]] = field(default_factory=dict)
    covers_from: date | None = None
    covers_to: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPerson:
    """A person who gets access (Art. 67(2)(a), 68(10)(d)); `id` is the account's identifier."""

    id: str
    name: str
    function: str = ""
    principal_investigator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAccessApplication:
    """One application for several countries, with the fields of Art. 67(2).

    The letters in the comments are those of Art. 67(2). What the form asks beyond them is in `answers`.

    Args:
        form: Name and version of the form that it is written on.
        answers: JSON by field of the form: those that have no member here, and those that cannot be read,
            as they were written. Fields that each country is answered by itself hold an object by country.
    """

    title: str
    applicant: str  # (a) natural or legal person
    contact_email: str
    persons: tuple[NamedPerson, ...]  # (a) who gets access
    purpose: Purpose  # (b)
    intended_use: str  # (c)
    expected_benefit: str  # (c)
    data: tuple[DataScope, ...]  # (d)
    pseudonymised: bool  # (e) pseudonymised data asked for; False means anonymised answers only
    why_not_anonymised: str = ""  # (e)
    own_datasets: str = ""  # (f)
    safeguards: str = ""  # (g)
    period_months: int = 12  # (h)
    methods: tuple[str, ...] = ()  # (i) analysis methods; empty means all that the environment offers
    tools: str = ""  # (i)
    opt_out_exception: str = ""  # (k)
    gdpr_basis: str = ""  # Art. 67(4), when pseudonymised
    lay_summary: str = ""
    is_public_body: bool = False
    form: str = "application/1"
    answers: dict[str, Any] = field(default_factory=dict)  # (j) stands here, by country
