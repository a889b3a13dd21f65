"""The one door: what it lets through, what it refuses, and the trace that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import ibis
import pytest

from salerno.catalogue.model import Datatype
from salerno.holdings.model import AccessRequest, Holding, StudyFrame
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError, Unavailable
from salerno.permits.model import Condition, DataPermit, DataScope, DisclosurePolicy, PermitState

Ask = Callable[..., AccessRequest]


def count(view: ibis.Table) -> ibis.Table:
    return view.aggregate(n=view.count())


def scoped(permit: DataPermit, **changes: Any) -> DataPermit:
    return replace(permit, data=(replace(permit.data[0], **changes),))


def persons(hospital: Any, request: AccessRequest) -> int:
    with hospital.door.open(request) as view:
        n = view.run(count)["n"][0].as_py()
        assert n == view.n_persons
        return int(n)


def test_a_covered_request_reads_what_is_permitted_and_no_more(hospital: Any, ask: Ask) -> None:
    with hospital.door.open(ask()) as view:
        assert list(view.dictionary.variables) == ["age", "sex", "smoker", "seen"]
        assert view.dictionary.variables["sex"].levels == ("F", "M")
        assert view.dictionary.variables["smoker"].levels == ("false", "true")
        assert view.dictionary.variables["smoker"].datatype is Datatype.BOOLEAN
        seen: list[str] = []

        def build(table: ibis.Table) -> ibis.Table:
            seen.extend(table.columns)
            return table.group_by("holder").aggregate(n=table.count(), age=table.age.sum())

        assert view.run(build).to_pylist() == [{"holder": "Hospital", "n": 100, "age": 5350}]
        assert seen == ["age", "sex", "smoker", "seen", "holder"]


def test_opening_and_each_reading_leave_a_trace_without_values(
    hospital: Any, ask: Ask, cohort: Holding
) -> None:
    with hospital.door.open(ask()) as view:
        view.run(count)
        view.run(count)
    assert hospital.acts() == ["holding-connected", "view-opened", "view-read", "view-read"]
    assert hospital.details("view-read")[0] == {"dataset": cohort.dataset, "method": "count", "columns": 1}
    with hospital.trace() as log:
        assert log.entries(act="view-read")[0].subject == "urn:salerno:permit:1"


def test_nothing_is_handed_over_when_the_trace_cannot_be_written(
    hospital: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = hospital.door.open(ask())

    def full() -> None:
        raise Unavailable("disk-full", "The disk is full")

    monkeypatch.setattr(view, "_open_trace", full)
    with pytest.raises(Unavailable, match="disk-full"):
        view.run(count)
    view.close()


OUTSIDE = [
    ("permit-expired", {"valid_until": timedelta(seconds=0)}, {}),
    ("permit-not-yet-valid", {"valid_from": timedelta(seconds=1)}, {}),
    ("permit-other-user", {}, {"user": "did:web:hub.example#otto"}),
    ("permit-other-purpose", {}, {"purpose": "statistics"}),
    ("permit-other-environment", {}, {"environment": "did:web:elsewhere.example"}),
    ("permit-other-method", {}, {"method": "cox"}),
    ("permit-other-dataset", {}, {"dataset": "https://hospital.example/datasets/other"}),
    ("permit-column", {}, {"columns": ("place",)}),
    (
        "permit-column",
        {},
        {"frame": StudyFrame(where=(Condition(column="place", operator="==", value="town 1"),))},
    ),
    ("permit-column", {}, {"frame": StudyFrame(complete=("place",))}),
]


@pytest.mark.parametrize(("code", "permit_changes", "request_changes"), OUTSIDE)
def test_each_way_to_be_outside_the_permit_is_refused_and_logged(
    hospital: Any,
    ask: Ask,
    permit: DataPermit,
    code: str,
    permit_changes: dict[str, Any],
    request_changes: dict[str, Any],
) -> None:
    now = hospital.clock.now()
    changed = replace(permit, **{name: now + delta for name, delta in permit_changes.items()})
    with pytest.raises(Refused) as caught:
        hospital.door.open(ask(changed, **request_changes))
    assert caught.value.code == code
    assert caught.value.rule.startswith("EHDS Art.")
    assert hospital.acts()[-1] == "view-refused"
    assert hospital.details("view-refused")[-1]["code"] == code


def test_the_refusal_of_a_column_names_it_and_its_table(hospital: Any, ask: Ask) -> None:
    with pytest.raises(Refused, match=r"cohort\.place"):
        hospital.door.open(ask(columns=("age", "place")))


def test_a_misspelt_column_is_not_taken_for_a_forbidden_one(hospital: Any, ask: Ask) -> None:
    with pytest.raises(Invalid, match=r"no column 'agee'.*Did you mean 'age'"):
        hospital.door.open(ask(columns=("agee",)))


def test_a_revoked_permit_is_refused_at_once(hospital: Any, ask: Ask) -> None:
    hospital.body.answer = PermitState.REVOKED
    with pytest.raises(Refused, match="permit-revoked"):
        hospital.door.open(ask())


def test_a_revocation_stops_an_open_view_within_half_a_minute(hospital: Any, ask: Ask) -> None:
    with hospital.door.open(ask()) as view:
        hospital.body.answer = PermitState.REVOKED
        hospital.clock.advance(seconds=30)
        view.run(count)  # the last word is believed for half a minute
        hospital.clock.advance(seconds=1)
        with pytest.raises(Refused, match="permit-revoked"):
            view.run(count)
        hospital.clock.advance(seconds=1)
        with pytest.raises(Refused, match="permit-revoked"):
            view.run(count)
    assert hospital.acts()[-1] == "view-refused"


def test_a_permit_that_ends_stops_an_open_view_at_that_instant(
    hospital: Any, ask: Ask, permit: DataPermit
) -> None:
    short = replace(permit, valid_until=hospital.clock.now() + timedelta(seconds=5))
    with hospital.door.open(ask(short)) as view:
        hospital.clock.advance(seconds=4)
        view.run(count)
        hospital.clock.advance(seconds=1)
        with pytest.raises(Refused, match="permit-expired"):
            view.run(count)


def test_an_access_body_that_cannot_be_asked_closes_the_door(hospital: Any, ask: Ask) -> None:
    with hospital.door.open(ask()) as view:
        hospital.body.reachable = False
        hospital.clock.advance(seconds=31)
        with pytest.raises(Unavailable):
            view.run(count)
    with pytest.raises(Unavailable):
        hospital.door.open(ask())


def test_a_clock_set_back_asks_the_access_body_again(hospital: Any, ask: Ask) -> None:
    with hospital.door.open(ask()) as view:
        hospital.clock.advance(seconds=-60)
        asked = hospital.body.asked
        view.run(count)
        assert hospital.body.asked == asked + 1


def test_a_permit_by_another_access_body_is_refused(hospital: Any, ask: Ask, permit: DataPermit) -> None:
    foreign = replace(permit, issuer="did:web:other-body.example")
    with pytest.raises(Refused, match="permit-issuer"):
        hospital.door.open(ask(foreign))


def test_a_permit_for_another_holder_is_refused(hospital: Any, ask: Ask, permit: DataPermit) -> None:
    with pytest.raises(Refused, match="permit-other-holder"):
        hospital.door.open(ask(scoped(permit, holder="did:web:clinic.example")))


def test_a_forged_permit_is_refused(hospital: Any, ask: Ask, permit: DataPermit) -> None:
    token = hospital.body.sign(permit)
    head, body, signature = token.split(".")
    wider = hospital.body.sign(replace(permit, methods=())).split(".")[1]
    for forged in (f"{head}.{wider}.{signature}", f"{head}.{body}.{signature[:-4]}AAAA", "nonsense"):
        with pytest.raises(SalernoError):
            hospital.door.open(ask(permit_token=forged))
        assert hospital.acts()[-1] == "view-refused"


def test_a_data_set_that_is_gone_is_not_found(hospital: Any, ask: Ask, permit: DataPermit) -> None:
    gone = scoped(permit, dataset="https://hospital.example/datasets/gone")
    with pytest.raises(NotFound):
        hospital.door.open(ask(gone))


def test_permitted_rows_and_dates_are_all_there_is(hospital: Any, ask: Ask, permit: DataPermit) -> None:
    women = scoped(permit, rows={"cohort": (Condition(column="sex", operator="==", value="F"),)})
    assert persons(hospital, ask(women)) == 50
    early = scoped(permit, covers_from=date(2020, 1, 11), covers_to=date(2020, 1, 30))
    assert persons(hospital, ask(early)) == 20
    by_place = scoped(permit, rows={"cohort": (Condition(column="place", operator="!=", value="town 1"),)})
    assert persons(hospital, ask(by_place)) == 99  # the permit's own condition may name what nobody sees


def test_a_condition_of_the_permit_that_cannot_be_applied_closes_the_door(
    hospital: Any, ask: Ask, permit: DataPermit
) -> None:
    odd = scoped(permit, rows={"cohort": (Condition(column="weight", operator=">", value=1),)})
    with pytest.raises(Refused, match="permit-rows"):
        hospital.door.open(ask(odd))


def test_too_few_persons_are_refused_without_their_number(
    hospital: Any, ask: Ask, permit: DataPermit
) -> None:
    nine = scoped(permit, covers_to=date(2020, 1, 9))
    with pytest.raises(Refused) as caught:
        hospital.door.open(ask(nine))
    assert caught.value.code == "too-few-persons"
    assert "9" not in caught.value.what
    assert persons(hospital, ask(scoped(permit, covers_to=date(2020, 1, 10)))) == 10
    assert persons(hospital, ask(scoped(permit, covers_to=date(2019, 1, 1)))) == 0


def test_the_stricter_policy_counts(hospital: Any, ask: Ask, permit: DataPermit) -> None:
    strict = replace(permit, policy=DisclosurePolicy(min_cell=60))
    with hospital.door.open(ask(strict)) as view:
        assert view.policy.min_cell == 60
        assert view.dictionary.variables["sex"].levels == ()
    half = replace(strict, data=scoped(permit, rows={"cohort": (
        Condition(column="sex", operator="==", value="F"),)}).data)  # fmt: skip
    with pytest.raises(Refused, match="too-few-persons"):
        hospital.door.open(ask(half))


def test_opt_outs_bind_by_the_day_of_approval(hospital: Any, ask: Ask, permit: DataPermit) -> None:
    approved = permit.approved_at
    hour = timedelta(hours=1)
    hospital.body.opt_out("000", approved - hour)  # stood at approval: gone
    hospital.body.opt_out("001", approved)  # of the same instant: gone
    hospital.body.opt_out("002", approved + hour)  # came later: stays
    hospital.body.opt_out("003", approved - hour, approved - hour / 2)  # was reversed before: stays
    hospital.body.opt_out("004", approved - hour, approved + hour)  # was reversed later: gone
    hospital.body.opt_out("9", approved - hour)  # nobody here
    assert persons(hospital, ask()) == 97
    excepted = replace(permit, opt_out_exception="Art. 71(4): threat to public health")
    assert persons(hospital, ask(excepted)) == 100


@pytest.mark.parametrize(("personal", "refused"), [(True, True), (False, False)])
def test_rows_that_nobody_can_match_with_opt_outs(
    hospital: Any, ask: Ask, permit: DataPermit, personal: bool, refused: bool
) -> None:
    loose = hospital.connect("loose", hospital.folder / "cohort.csv", personal=personal)
    scope = DataScope(
        dataset=loose.dataset, holder=permit.data[0].holder, country="FR", tables={"cohort": ("age",)}
    )
    other = replace(permit, data=(scope,))
    assert persons(hospital, ask(other)) == 100
    hospital.body.opt_out("000", permit.approved_at)
    if refused:
        with pytest.raises(Refused, match="opt-out-not-matched"):
            hospital.door.open(ask(other))
    else:
        assert persons(hospital, ask(other)) == 100


def test_dates_that_cannot_be_applied_close_the_door(hospital: Any, ask: Ask, permit: DataPermit) -> None:
    undated = hospital.connect("undated", hospital.folder / "cohort.csv", person_column="id")
    scope = replace(permit.data[0], dataset=undated.dataset, covers_from=date(2020, 1, 1))
    with pytest.raises(Refused, match="permit-dates"):
        hospital.door.open(ask(replace(permit, data=(scope,))))


def rows(view: ibis.Table) -> ibis.Table:
    return view.select("age")


def everything(view: ibis.Table) -> ibis.Table:
    return view


def listed(view: ibis.Table) -> ibis.Table:
    return view.aggregate(ages=view.age.collect())


def joined(view: ibis.Table) -> ibis.Table:
    return view.cross_join(view.aggregate(n=view.count()))


@pytest.mark.parametrize("build", [rows, everything, listed, joined])
def test_rows_are_not_handed_out(hospital: Any, ask: Ask, build: Any) -> None:
    with hospital.door.open(ask()) as view, pytest.raises(Refused, match="not-an-aggregate"):
        view.run(build)
    assert hospital.acts()[-1] == "view-refused"


def test_the_engine_behind_the_view_cannot_be_reached_through_it(hospital: Any, ask: Ask) -> None:
    with hospital.door.open(ask()) as view:

        def beside(table: ibis.Table) -> ibis.Table:
            other = ibis.table({"place": "string"}, name="cohort", database="source")
            return other.aggregate(n=other.count())

        def raw(table: ibis.Table) -> ibis.Table:
            return table.sql("SELECT count(*) AS n FROM source.cohort")

        for build in (beside, raw):
            with pytest.raises(Refused, match="outside-view"):
                view.run(build)


def test_a_closed_view_answers_no_more(hospital: Any, ask: Ask) -> None:
    view = hospital.door.open(ask())
    view.close()
    view.close()
    with pytest.raises(Conflict, match="view-closed"):
        view.run(count)


def test_a_source_that_vanishes_is_a_clear_error(hospital: Any, ask: Ask, cohort: Holding) -> None:
    (hospital.folder / "cohort.csv").unlink()
    with pytest.raises(Invalid, match="no-such-source"):
        hospital.door.open(ask())


def test_a_permit_for_two_data_sets_needs_the_request_to_name_one(
    hospital: Any, ask: Ask, permit: DataPermit, cohort: Holding
) -> None:
    second = hospital.connect("second", hospital.folder / "cohort.csv", person_column="id")
    both = replace(permit, data=(permit.data[0], replace(permit.data[0], dataset=second.dataset)))
    with pytest.raises(Refused, match="permit-other-dataset"):
        hospital.door.open(ask(both))
    assert persons(hospital, ask(both, dataset=second.dataset)) == 100
