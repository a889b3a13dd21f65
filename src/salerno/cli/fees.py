"""``salerno fee``: tariffs of access bodies, and what an application costs by one."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from salerno.cli import output
from salerno.cli.options import Json, commands, read_object, read_text

if TYPE_CHECKING:
    from salerno.permits.model.fee import Tariff

app = commands("Check a tariff, and estimate what an application costs.")

TariffFile = Annotated[str, typer.Argument(metavar="TARIFF", help="The tariff as TOML.")]


class As(StrEnum):
    """As whom somebody pays; the values of `permits.model.fee.Payer`, named here to keep help quick."""

    FULL = "full"
    PUBLIC_BODY = "public-body"
    UNIVERSITY = "university"
    MICRO_ENTERPRISE = "micro-enterprise"


@app.command()
def show(tariff: TariffFile, as_json: Json = False) -> None:
    """Check a tariff and print it."""
    from salerno.permits.rules.fees import euros

    read = _tariff(tariff)
    if as_json:
        output.print_json(read)
        return
    output.print_facts(
        (
            ("tariff", read.version),
            ("from", read.valid_from.isoformat()),
            ("reductions", {str(kind): f"{percent} %" for kind, percent in read.reductions.items()}),
            ("to pay within", f"{read.payment_days} days"),
        )
    )
    rows = [
        (
            f.label,
            f"{euros(f.cents)} for each {f.basis.unit_words}",
            f.included or "",
            _percent(f.vat_basis_points),
        )
        for f in read.fees
    ]
    output.print_table(("fee", "price", "included", "tax"), rows)


@app.command()
def estimate(
    tariff: TariffFile,
    application: Annotated[
        str, typer.Argument(metavar="APPLICATION", help="The application as JSON; - reads standard input.")
    ],
    payer: Annotated[
        As | None, typer.Option("--as", help="As whom it is paid; by default as the application says.")
    ] = None,
    country: Annotated[
        str, typer.Option(metavar="CODE", help="Only the data sets of this country; by default all.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Estimate what an application costs, line by line, before it is handed in."""
    from dataclasses import replace

    from salerno.kernel.values import from_plain
    from salerno.permits.model import DataAccessApplication
    from salerno.permits.model.fee import Payer
    from salerno.permits.rules.fees import euros, expected_work, make_bill, payer_of

    read = _tariff(tariff)
    asked = from_plain(
        read_object(application, "The application"), DataAccessApplication, what="The application"
    )
    if country:
        asked = replace(asked, data=tuple(scope for scope in asked.data if scope.country == country.upper()))
    bill = make_bill(read, expected_work(asked, read), Payer(payer.value) if payer else payer_of(asked))
    if as_json:
        output.print_json({"bill": bill, "net_cents": bill.net_cents, "total_cents": bill.total_cents})
        return
    rows = [(line.label, line.why, euros(line.net_cents)) for line in bill.lines]
    rows += [("Tax", _percent(t.vat_basis_points), euros(t.tax_cents)) for t in bill.taxes if t.tax_cents]
    rows.append(("Total", f"tariff {bill.tariff}", euros(bill.total_cents)))
    output.print_table(("fee", "how", "amount"), rows)
    print("An estimate: who withdraws pays for what was done by then, and never more than this (Art. 62).")


def _tariff(path: str) -> Tariff:
    from salerno.permits.rules.tariff import parse_tariff

    return parse_tariff(read_text(path), what=path)


def _percent(basis_points: int) -> str:
    return f"{basis_points / 100:g} %" if basis_points else ""
