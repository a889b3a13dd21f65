"""Fees: what a tariff makes of work, and how its mistakes are told."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.kernel.errors import Conflict, Invalid
from salerno.permits.model.fee import Basis, Bill, Buyer, Fee, HolderCost, Payer, Tariff, Work
from salerno.permits.rules.fees import (
    check_may_set_holder_cost,
    euros,
    expected_work,
    incurred,
    make_bill,
    make_invoice,
    payer_of,
)
from salerno.permits.rules.tariff import parse_tariff
from tests.unit.permits.world import application

TEXT = re.search(
    r"```toml\n(.*?)```", (Path(__file__).parents[3] / "docs/how-to/set-fees.md").read_text("utf-8"), re.S
)[1]  # type: ignore[index]
TARIFF = parse_tariff(TEXT)
WORK = Work(applications=1, datasets=2, extraction_minutes=500, environment_months=12, persons=3)


def bill_of(payer: Payer = Payer.FULL, work: Work = WORK, **costs: Any) -> Bill:
    return make_bill(TARIFF, work, payer, **costs)


def test_a_university_pays_less_and_each_line_says_why() -> None:
    bill = bill_of(Payer.UNIVERSITY)
    told = [(line.name, line.cents, line.reduction_cents, line.why) for line in bill.lines]
    assert told == [
        ("decision", 120000, 48000, "1 × 1\u202f200.00 EUR for each application; 40 % less for a university"),
        # 500 minutes are 8 1/3 hours: 95,833.33 cents; 40 % of 95,833 are 38,333.2.
        ("extraction", 95833, 38333,
         "8.333333 × 115.00 EUR for each hour of extraction; 40 % less for a university"),
        ("environment", 302500, 121000, "11 × 275.00 EUR for each month of the processing environment; "
         "1 included; 40 % less for a university"),
        ("persons", 9000, 0, "1 × 90.00 EUR for each person with access; 2 included"),
    ]  # fmt: skip
    # 25.5 % of 57,500 + 181,500 + 9,000 cents.
    assert [(t.vat_basis_points, t.net_cents, t.tax_cents) for t in bill.taxes] == [
        (0, 72000, 0),
        (2550, 248000, 63240),
    ]
    assert bill.total_cents == 72000 + 248000 + 63240


def test_half_a_cent_goes_up() -> None:
    fee = Fee(name="x", label="x", basis=Basis.EXTRACTION_HOUR, cents=1, vat_basis_points=5000)
    tariff = Tariff(version="1", valid_from=date(2031, 1, 1), fees=(fee,), reductions={Payer.UNIVERSITY: 50})
    bill = make_bill(tariff, Work(extraction_minutes=30), Payer.UNIVERSITY)
    assert (bill.lines[0].cents, bill.lines[0].reduction_cents, bill.total_cents) == (1, 1, 0)
    assert make_bill(tariff, Work(extraction_minutes=29)).lines[0].cents == 0
    assert make_bill(tariff, Work(extraction_minutes=60)).taxes[0].tax_cents == 1


def test_an_estimate_comes_from_the_application() -> None:
    asked = application("FR", is_public_body=True)
    assert payer_of(asked) is Payer.PUBLIC_BODY
    assert payer_of(application("FR")) is Payer.FULL
    assert expected_work(asked, TARIFF) == Work(
        applications=1, datasets=1, extraction_minutes=240, environment_months=asked.period_months, persons=1
    )


def test_who_withdraws_pays_what_was_done_and_never_more_than_was_told() -> None:
    cost = HolderCost(holder="did:web:h", label="Linkage", cents=5000)
    estimate = bill_of(Payer.UNIVERSITY, holder_costs=[cost])
    assert incurred(estimate, Work(), TARIFF).total_cents == 0
    early = incurred(estimate, Work(applications=1, extraction_minutes=60), TARIFF)
    assert [(line.name, line.net_cents) for line in early.lines] == [
        ("decision", 72000),
        ("extraction", 6900),
    ]
    more = Work(applications=1, datasets=9, extraction_minutes=9000, environment_months=40, persons=90)
    dear = HolderCost(holder="did:web:h", label="Linkage", cents=9999)
    unheard = HolderCost(holder="did:web:h", label="Courier", cents=1)
    assert incurred(estimate, more, TARIFF, [dear, unheard]) == estimate
    with pytest.raises(Conflict, match="stands on the tariff 2031-1, not 2032-1"):
        incurred(estimate, Work(), parse_tariff(TEXT.replace("2031-1", "2032-1")))


def test_holder_and_user_have_a_month_to_agree() -> None:
    issued = datetime(2031, 4, 11, 10, tzinfo=UTC)  # the 11th of May is a Sunday
    with pytest.raises(Conflict, match="until 2031-05-12"):
        check_may_set_holder_cost(issued, "FR", datetime(2031, 5, 12, 12, tzinfo=UTC))
    check_may_set_holder_cost(issued, "FR", datetime(2031, 5, 12, 23, tzinfo=UTC))  # the 13th in Paris


def invoice(buyer: Buyer, bill: Bill) -> Any:
    return make_invoice(
        bill,
        TARIFF,
        buyer,
        number="2031-17",
        seller="Findata",
        seller_country="FI",
        issued_on=date(2031, 5, 2),
    )


def test_an_invoice_has_the_terms_of_en_16931() -> None:
    bill = bill_of(Payer.UNIVERSITY)
    home = invoice(Buyer(name="Uni", country="FI", vat_id="FI12345678", peppol_id="0037:00371234"), bill)
    assert home.due_on == date(2031, 6, 1)
    assert home.total_cents == bill.total_cents
    first, second, *_ = home.lines
    assert (first.quantity, first.unit_code, first.tax_category, first.vat_percent) == ("1", "C62", "E", "0")
    assert (second.quantity, second.unit_code, second.tax_category, second.vat_percent) == (
        "8.333333", "HUR", "S", "25.5",
    )  # fmt: skip
    abroad = invoice(Buyer(name="Uni", country="FR", vat_id="FR12345678901"), bill)
    assert [(t.tax_category, t.tax_cents) for t in abroad.taxes] == [("E", 0), ("AE", 0)]
    assert abroad.total_cents == bill.net_cents
    private = invoice(Buyer(name="Uni", country="FR"), bill)
    assert private.total_cents == bill.total_cents
    alone = invoice(Buyer(name="Uni", country="FI"), bill_of(work=Work(applications=1)))
    assert [(t.tax_category, t.vat_percent) for t in alone.taxes] == [("O", "")]
    for wrong in (Buyer(name="U", country="FI", vat_id="12"), Buyer(name="U", country="FI", peppol_id="x")):
        with pytest.raises(Invalid, match="right shape"):
            invoice(wrong, bill)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("cents = 11500", "cents = -1", "line 21: cents should be a whole number"),
        ("cents = 11500", 'cents = "1"', "line 21: cents should be a whole number"),
        ("cents = 11500", "", "line 17: 'cents' is missing"),
        ('basis = "extraction-hour"', 'basis = "extraction-our"', "line 20: .*mean 'extraction-hour'"),
        ('label = "Secure', 'lable = "Secure', "line 26: 'lable' is unknown.*mean 'label'"),
        ("vat_percent = 25.5", "vat_percent = 25.555", "line 22: vat_percent should have two decimals"),
        ("reducible = false", "reducible = 0", "line 38: reducible should be true or false"),
        ("university = 40", "university = 140", "line 8: university should be a percentage"),
        ("university = 40", "school = 40", "line 8: 'school' is unknown"),
        ("valid_from = 2031-01-01", 'valid_from = "2031-01-01"', "line 2: valid_from should be a day"),
        ('version = "2031-1"', "", "line 1: 'version' is missing"),
        ('name = "persons"', 'name = "decision"', "line 33: There are two fees 'decision'"),
        ("payment_days = 30", 'currency = "SEK"', "line 4: Fees are in EUR"),
        ("[reductions] # percent off", "[reductions", "is not TOML: .*line 6"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(Invalid) as caught:
        parse_tariff(TEXT.replace(old, new, 1), what="tariff.toml")
    assert re.search(told, str(caught.value)), str(caught.value)


def test_amounts_for_people() -> None:
    assert [euros(5), euros(123456789), euros(-150)] == [
        "0.05 EUR", "1\u202f234\u202f567.89 EUR", "-1.50 EUR",
    ]  # fmt: skip


fees = st.builds(
    Fee,
    name=st.text("abcdef", min_size=1, max_size=6),
    label=st.just("x"),
    basis=st.sampled_from(list(Basis)),
    cents=st.integers(0, 10**7),
    included=st.integers(0, 3),
    reducible=st.booleans(),
    vat_basis_points=st.sampled_from((0, 550, 2550, 1999)),
)
tariffs = st.builds(
    Tariff,
    version=st.just("1"),
    valid_from=st.just(date(2031, 1, 1)),
    fees=st.lists(fees, max_size=6, unique_by=lambda fee: fee.name).map(tuple),
    reductions=st.dictionaries(st.sampled_from(list(Payer)[1:]), st.integers(0, 100)),
)
works = st.builds(
    Work,
    applications=st.integers(0, 1),
    datasets=st.integers(0, 5),
    extraction_minutes=st.integers(0, 5000),
    environment_months=st.integers(0, 120),
    persons=st.integers(0, 50),
)


@settings(max_examples=100, deadline=None)
@given(tariffs, works, works, st.sampled_from(list(Payer)))
def test_what_holds_of_every_bill(tariff: Tariff, work: Work, done: Work, payer: Payer) -> None:
    bill, full = make_bill(tariff, work, payer), make_bill(tariff, work)
    assert (
        bill.net_cents == sum(line.net_cents for line in bill.lines) == sum(t.net_cents for t in bill.taxes)
    )
    assert bill.total_cents == bill.net_cents + bill.tax_cents
    assert 0 <= bill.net_cents <= full.net_cents
    assert bill.total_cents <= full.total_cents
    assert all(0 <= line.reduction_cents <= line.cents for line in bill.lines)
    owed = incurred(bill, done, tariff)
    assert owed.total_cents <= bill.total_cents
    assert incurred(bill, work, tariff) == bill
    paid = invoice(Buyer(name="x", country="FI"), bill)
    assert paid.total_cents == bill.total_cents
    assert sum(line.net_cents for line in paid.lines) == bill.net_cents
