"""What an application costs (Art. 62): estimated before the permit, incurred at withdrawal, invoiced.

Amounts are whole cents. Three are rounded, each half a cent up: a line's amount, its reduction, and the tax
of all lines of one rate, as EN 16931 has it. So the total is the sum of what is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from salerno.kernel.errors import Conflict, Invalid
from salerno.permits.model import DataAccessApplication
from salerno.permits.model.fee import (
    Basis,
    Bill,
    Buyer,
    Fee,
    FeeLine,
    HolderCost,
    Invoice,
    InvoiceLine,
    InvoiceTax,
    Payer,
    Tariff,
    TaxLine,
    Work,
)
from salerno.permits.rules.calendar import calendar_of
from salerno.permits.rules.clocks import CLOCKS

_RULE = "EHDS Art. 62"
_VAT_ID = re.compile(r"[A-Z]{2}[0-9A-Z+*]{2,13}")
_PEPPOL_ID = re.compile(r"[0-9]{4}:[0-9A-Za-z:_.-]{1,50}")
_BASIS_POINTS = 10_000


def expected_work(application: DataAccessApplication, tariff: Tariff) -> Work:
    """What an application will take, as far as can be told before it is assessed."""
    datasets = len({scope.dataset for scope in application.data})
    return Work(
        applications=1,
        datasets=datasets,
        extraction_minutes=datasets * tariff.extraction_minutes,
        environment_months=application.period_months,
        persons=len(application.persons),
    )


def payer_of(application: DataAccessApplication) -> Payer:
    """As whom an applicant pays, by what the application itself says."""
    return Payer.PUBLIC_BODY if application.is_public_body else Payer.FULL


def make_bill(
    tariff: Tariff, work: Work, payer: Payer = Payer.FULL, holder_costs: Sequence[HolderCost] = ()
) -> Bill:
    """What work costs by a tariff.

    Args:
        tariff: The access body's.
        work: Expected, for an estimate before the permit; done, for an invoice.
        payer: As whom.
        holder_costs: What holders ask for their part; not reduced by the access body.
    """
    percents = tariff.reductions.get(payer, 0)
    lines = [_line(fee, work.of(fee.basis), percents, payer) for fee in tariff.fees]
    lines += [_holder_line(cost) for cost in holder_costs]
    return _bill(tariff.version, payer, [line for line in lines if line.units])


def incurred(estimate: Bill, done: Work, tariff: Tariff, holder_costs: Sequence[HolderCost] = ()) -> Bill:
    """What is owed when an applicant withdraws: what was done so far, never more than was estimated.

    Args:
        estimate: What the applicant was told.
        done: Work so far.
        tariff: The one of the estimate.
        holder_costs: What holders have spent so far, of those that the estimate names.

    Raises:
        Conflict: The tariff is another one than that of the estimate.
    """
    if tariff.version != estimate.tariff:
        raise Conflict(
            "tariff-changed",
            f"The estimate stands on the tariff {estimate.tariff}, not {tariff.version}",
            rule=_RULE,
            remedy="Use the tariff of the estimate: who withdraws pays by what was told.",
        )
    told = {(line.name, line.label): line for line in estimate.lines}
    lines = [
        line if line.net_cents <= told[line.name, line.label].net_cents else told[line.name, line.label]
        for line in make_bill(tariff, done, estimate.payer, holder_costs).lines
        if (line.name, line.label) in told
    ]
    return _bill(estimate.tariff, estimate.payer, lines)


def holder_cost_day(issued_at: datetime, country: str) -> date:
    """Last day for holder and data user to agree on the holder's part; then the access body may set it."""
    calendar, row = calendar_of(country), CLOCKS["fee-agreement"]
    assert row.length is not None
    return calendar.end_of(calendar.day_of(issued_at), row.length)


def check_may_set_holder_cost(issued_at: datetime, country: str, now: datetime) -> None:
    """The access body sets a holder's part only when both sides did not agree within a month of the permit.

    Raises:
        Conflict: The month is not over.
    """
    last = holder_cost_day(issued_at, country)
    if calendar_of(country).day_of(now) <= last:
        raise Conflict(
            "fee-agreement-open",
            f"Holder and data user can still agree on the holder's part until {last.isoformat()}",
            rule=_RULE,
            remedy="Wait for them; the access body can set it from the next day on.",
        )


def make_invoice(
    bill: Bill,
    tariff: Tariff,
    buyer: Buyer,
    *,
    number: str,
    seller: str,
    seller_country: str,
    issued_on: date,
) -> Invoice:
    """The invoice of a bill.

    A buyer with a VAT number of another Member State owes the tax at home: taxed lines become reverse charge.

    Raises:
        Invalid: The buyer's VAT number or Peppol identifier has not the right shape.
    """
    check_buyer(buyer)
    abroad = bool(buyer.vat_id) and _state(buyer.vat_id[:2]) != _state(seller_country)
    # Beside taxed lines, an untaxed one counts as exempt: EN 16931 BR-O-11 wants O to stand alone.
    untaxed = "E" if any(tax.vat_basis_points for tax in bill.taxes) else "O"
    ways = {tax.vat_basis_points: _tax_terms(tax.vat_basis_points, untaxed, abroad) for tax in bill.taxes}
    lines = tuple(
        _invoice_line(n, line, *ways[line.vat_basis_points]) for n, line in enumerate(bill.lines, 1)
    )
    taxes = tuple(
        InvoiceTax(
            tax_category=ways[tax.vat_basis_points][0],
            vat_percent=ways[tax.vat_basis_points][1],
            net_cents=tax.net_cents,
            tax_cents=0 if abroad else tax.tax_cents,
        )
        for tax in bill.taxes
    )
    return Invoice(
        number=number,
        issued_on=issued_on,
        due_on=issued_on + timedelta(days=tariff.payment_days),
        currency="EUR",
        seller=seller,
        buyer=buyer,
        lines=lines,
        taxes=taxes,
        total_cents=bill.net_cents + sum(tax.tax_cents for tax in taxes),
    )


def check_buyer(buyer: Buyer) -> None:
    """Raise what is wrong with who gets the invoice.

    Raises:
        Invalid: An identifier has not the right shape.
    """
    if buyer.vat_id and not _VAT_ID.fullmatch(buyer.vat_id):
        raise Invalid("vat-id", "The VAT number does not have the right shape",
                      rule="EN 16931 BT-48",
                      remedy="Begin with the country's letters, without spaces: FR12345678901.")  # fmt: skip
    if buyer.peppol_id and not _PEPPOL_ID.fullmatch(buyer.peppol_id):
        raise Invalid("peppol-id", "The Peppol identifier does not have the right shape",
                      rule="EN 16931 BT-49",
                      remedy="Write scheme and identifier: 0088:4012345000009.")  # fmt: skip


def euros(cents: int) -> str:
    """An amount for people: ``1 234.50 EUR``."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}.{rest:02} EUR".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _line(fee: Fee, units: int, percents: int, payer: Payer) -> FeeLine:
    paid = max(0, units - fee.included * fee.basis.units)
    cents = _half_up(paid * fee.cents, fee.basis.units)
    reduced = percents if fee.reducible else 0
    why = f"{_decimal(paid, fee.basis.units)} × {euros(fee.cents)} for each {fee.basis.unit_words}"
    if fee.included:
        why += f"; {fee.included} included"
    if reduced:
        why += f"; {reduced} % less for a {payer.value.replace('-', ' ')}"
    return FeeLine(
        name=fee.name, label=fee.label, basis=fee.basis, units=paid, cents_each=fee.cents, cents=cents,
        reduction_cents=_half_up(cents * reduced, 100), vat_basis_points=fee.vat_basis_points, why=why,
    )  # fmt: skip


def _holder_line(cost: HolderCost) -> FeeLine:
    return FeeLine(
        name=cost.holder, label=cost.label, basis=None, units=1, cents_each=cost.cents, cents=cost.cents,
        reduction_cents=0, vat_basis_points=cost.vat_basis_points, why="The data holder's part",
    )  # fmt: skip


def _bill(version: str, payer: Payer, lines: Iterable[FeeLine]) -> Bill:
    kept = tuple(lines)
    nets: dict[int, int] = {}
    for line in kept:
        nets[line.vat_basis_points] = nets.get(line.vat_basis_points, 0) + line.net_cents
    taxes = tuple(
        TaxLine(vat_basis_points=rate, net_cents=net, tax_cents=_half_up(net * rate, _BASIS_POINTS))
        for rate, net in sorted(nets.items())
    )
    return Bill(tariff=version, payer=payer, lines=kept, taxes=taxes)


def _half_up(numerator: int, denominator: int) -> int:
    """A quotient of numbers that are not negative, to the nearest whole, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _invoice_line(number: int, line: FeeLine, category: str, percent: str) -> InvoiceLine:
    return InvoiceLine(
        number=number,
        item=line.label,
        quantity=_decimal(line.units, line.basis.units if line.basis else 1),
        unit_code=line.basis.unit_code if line.basis else Basis.APPLICATION.unit_code,
        price_cents=line.cents_each,
        allowance_cents=line.reduction_cents,
        net_cents=line.net_cents,
        tax_category=category,
        vat_percent=percent,
    )


def _tax_terms(vat_basis_points: int, untaxed: str, abroad: bool) -> tuple[str, str]:
    """Category and percentage of a rate on an invoice."""
    if not vat_basis_points:
        return untaxed, "" if untaxed == "O" else "0"
    return ("AE", "0") if abroad else ("S", _decimal(vat_basis_points, 100))


def _state(prefix: str) -> str:
    return "GR" if prefix == "EL" else prefix  # the only VAT prefix that is not its state's ISO code


def _decimal(numerator: int, denominator: int) -> str:
    """A quotient as a decimal number with as many places as it needs, six at most."""
    whole, rest = divmod(numerator, denominator)
    places = f"{_half_up(rest * 1_000_000, denominator):06}".rstrip("0")
    return f"{whole}.{places}" if places else str(whole)
