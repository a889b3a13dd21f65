"""Fees (Art. 62): tariffs, estimates, bills and invoices, in whole cents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Basis(StrEnum):
    """What a fee is paid for each of; the value is its name in a tariff."""

    def __new__(cls, name: str, unit_words: str, units: int, unit_code: str) -> Basis:
        """A member from its name, words for its unit, how many counted units one has, and its code."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.unit_words = unit_words
        member.units = units
        member.unit_code = unit_code
        return member

    unit_words: str
    units: int
    unit_code: str

    # The last word is the unit's code in UN/ECE Recommendation 20, which invoices name.
    APPLICATION = "application", "application", 1, "C62"
    DATA_SET = "data-set", "data set", 1, "C62"
    EXTRACTION_HOUR = "extraction-hour", "hour of extraction", 60, "HUR"
    ENVIRONMENT_MONTH = "environment-month", "month of the processing environment", 1, "MON"
    PERSON = "person", "person with access", 1, "C62"


class Payer(StrEnum):
    """Who pays: Art. 62 lets public bodies, universities and micro-enterprises pay less."""

    FULL = "full"
    PUBLIC_BODY = "public-body"
    UNIVERSITY = "university"
    MICRO_ENTERPRISE = "micro-enterprise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """One row of a tariff.

    Args:
        name: Identifier.
        label: What it is for, for people.
        basis: What it is paid for each of.
        cents: For one of them, before tax.
        included: How many of them are free.
        reducible: Whether reductions hold for it.
        vat_basis_points: Value-added tax in hundredths of a percent: 2550 is 25.5 %; 0 is none.
    """

    name: str
    label: str
    basis: Basis
    cents: int
    included: int = 0
    reducible: bool = True
    vat_basis_points: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """An access body's published fees.

    Args:
        version: Its name, e.g. ``2031-1``; told with each estimate.
        valid_from: First day.
        fees: The rows.
        reductions: Percent off by kind of payer.
        extraction_minutes: Minutes of extraction to expect for each data set, for estimates.
        payment_days: Days within which an invoice is to be paid.
    """

    version: str
    valid_from: date
    fees: tuple[Fee, ...]
    reductions: Mapping[Payer, int] = field(default_factory=dict)
    extraction_minutes: int = 0
    payment_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is paid for: expected, or done so far.

    Args:
        applications: 1 once assessment has begun, 0 before.
        datasets: Data sets asked for or delivered.
        extraction_minutes: Minutes of extraction.
        environment_months: Months of the processing environment, each counted from its first day.
        persons: Persons with access.
    """

    applications: int = 0
    datasets: int = 0
    extraction_minutes: int = 0
    environment_months: int = 0
    persons: int = 0

    def of(self, basis: Basis) -> int:
        """How many counted units of a basis: minutes for hours, else the number itself."""
        return {
            Basis.APPLICATION: self.applications,
            Basis.DATA_SET: self.datasets,
            Basis.EXTRACTION_HOUR: self.extraction_minutes,
            Basis.ENVIRONMENT_MONTH: self.environment_months,
            Basis.PERSON: self.persons,
        }[basis]


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderCost:
    """What a data holder asks for its part (Art. 62).

    Args:
        holder: Its DID.
        label: What for.
        cents: How much, before tax.
        vat_basis_points: Value-added tax in hundredths of a percent.
    """

    holder: str
    label: str
    cents: int
    vat_basis_points: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeLine:
    """One line of a bill.

    Args:
        name: The fee's identifier, or the holder's DID.
        label: What for.
        basis: What is counted; None for a holder's cost.
        units: How many counted units are paid: minutes for hours.
        cents_each: Price of one.
        cents: Amount before the reduction.
        reduction_cents: How much less this payer pays.
        vat_basis_points: Its tax, in hundredths of a percent.
        why: How the amount came about, in words.
    """

    name: str
    label: str
    basis: Basis | None
    units: int
    cents_each: int
    cents: int
    reduction_cents: int
    vat_basis_points: int
    why: str

    @property
    def net_cents(self) -> int:
        """What is to be paid before tax."""
        return self.cents - self.reduction_cents


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxLine:
    """Value-added tax of all lines of one rate."""

    vat_basis_points: int
    net_cents: int
    tax_cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What an application costs: an estimate, or what was incurred.

    Args:
        tariff: Version of the tariff.
        payer: As whom.
        lines: What for.
        taxes: By rate.
    """

    tariff: str
    payer: Payer
    lines: tuple[FeeLine, ...]
    taxes: tuple[TaxLine, ...]

    @property
    def net_cents(self) -> int:
        """Sum of the lines."""
        return sum(line.net_cents for line in self.lines)

    @property
    def tax_cents(self) -> int:
        """Sum of the taxes."""
        return sum(tax.tax_cents for tax in self.taxes)

    @property
    def total_cents(self) -> int:
        """What is to be paid."""
        return self.net_cents + self.tax_cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who gets the invoice, as the form's section on payment says.

    Args:
        name: Registered name.
        country: ISO 3166-1 code.
        vat_id: With its country's prefix; empty for who has none.
        peppol_id: Scheme and identifier, ``0088:4012345000009``; empty for who is not in the network.
        reference: What the buyer wants to read on it.
    """

    name: str
    country: str
    vat_id: str = ""
    peppol_id: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice with the terms of EN 16931, from which a Peppol document can be written.

    Args:
        number: BT-1.
        issued_on: BT-2.
        due_on: BT-9.
        currency: BT-5.
        seller: BT-27.
        buyer: BG-7.
        lines: BG-25.
        taxes: BG-23.
        total_cents: BT-115.
    """

    number: str
    issued_on: date
    due_on: date
    currency: str
    seller: str
    buyer: Buyer
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[InvoiceTax, ...]
    total_cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """A line of an invoice.

    Args:
        number: BT-126.
        item: BT-153.
        quantity: BT-129, a decimal number.
        unit_code: BT-130, UN/ECE Recommendation 20.
        price_cents: BT-146.
        allowance_cents: BT-136.
        net_cents: BT-131.
        tax_category: BT-151: S standard rate, AE reverse charge, O outside of scope, E exempt beside others.
        vat_percent: BT-152, a decimal number; empty outside of scope.
    """

    number: int
    item: str
    quantity: str
    unit_code: str
    price_cents: int
    allowance_cents: int
    net_cents: int
    tax_category: str
    vat_percent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceTax:
    """Tax of one category and rate: BT-118, BT-119, BT-116, BT-117."""

    tax_category: str
    vat_percent: str
    net_cents: int
    tax_cents: int
