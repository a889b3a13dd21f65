"""Cox regression against R's survival: counting processes, weights, robust errors, checks and curves.

Rows by formula as in `test_survival`, and besides

    d <- data.frame(id = i, …, site = paste0("h", i %/% 100), w = 1 + (i %% 4) / 2, expo = 1 + (i * 7) %% 11)
    d$team <- paste(d$site, (i * 5) %% 17); d$cut <- pmin(d$time - 1, 3 + (i * 13) %% 20)
    dose <- (i * 3) %% 5
    long <- rbind(data.frame(d, start = 0, stop = d$cut, event = 0, dose = dose),
                  data.frame(d, start = d$cut, stop = d$time, event = d$dead, dose = dose + 1 + i %% 2))
    long <- long[long$stop > long$start, ]
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import run, scope_of
from tests.unit.analysis.methods.test_survival import patients

TEN = DisclosurePolicy()
FORMULA = "Surv(time, dead) ~ age + arm"
LONG = {"method": "cox", "formula": "Surv(start, stop, event) ~ age + arm + dose", "id": "id"}
AT = [{"age": 50, "arm": "b"}]


def people() -> pd.DataFrame:
    i = np.arange(300)
    frame = patients().assign(id=i, w=1 + (i % 4) / 2, expo=1 + (i * 7) % 11)
    frame["site"] = [f"h{n}" for n in i // 100]
    frame["team"] = [f"h{n // 100} {(n * 5) % 17}" for n in i]
    return frame.assign(cut=np.minimum(frame["time"] - 1, 3 + (i * 13) % 20))


def long_rows() -> pd.DataFrame:
    frame = people()
    i, dose = frame["id"], (frame["id"] * 3) % 5
    first = frame.assign(start=0, stop=frame["cut"], event=0, dose=dose)
    second = frame.assign(start=frame["cut"], stop=frame["time"], event=frame["dead"], dose=dose + 1 + i % 2)
    both = pd.concat([first, second], ignore_index=True)
    return both[both["stop"] > both["start"]]


def by_site(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return [part.reset_index(drop=True) for _, part in frame.groupby("site")]


def terms(question: dict[str, Any], frames: list[pd.DataFrame]) -> list[float]:
    rows = run(question, frames).result["terms"]
    return [row[name] for name in ("estimate", "std_error") for row in rows]


@pytest.mark.parametrize(
    ("strata", "ties", "wanted"),
    [
        # coxph(Surv(start, stop, event) ~ age + arm + dose + cluster(id) [+ strata(site)], long, ties = …)
        (
            None,
            "efron",
            [
                -0.00483934677196,
                0.09574962465846,
                -0.08768651239788,
                0.19795947401355,
                0.00662567839583,
                0.18707399638479,
                0.19608343421250,
                0.05815463964258,
            ],
        ),
        (
            None,
            "breslow",
            [
                -0.00473607289909,
                0.09072286148514,
                -0.08087283413215,
                0.19598739217171,
                0.00635586766382,
                0.18044172230665,
                0.18881185873259,
                0.05531265212766,
            ],
        ),
        (
            "holder",
            "efron",
            [
                -0.0045625271772,
                0.1114244032960,
                -0.0753503238901,
                0.1898986304805,
                0.00643519483805,
                0.18090740490697,
                0.19351562402381,
                0.05652617245487,
            ],
        ),
        (
            "holder",
            "breslow",
            [
                -0.00428972385804,
                0.09298373449296,
                -0.07576939432139,
                0.18825901772748,
                0.00613857701951,
                0.17296415679686,
                0.18469164099108,
                0.05336199166609,
            ],
        ),
    ],
)
def test_counting_processes_with_errors_by_person(strata: Any, ties: str, wanted: list[float]) -> None:
    question = LONG | {"strata": strata, "ties": ties, "errors": "HC0"}
    assert terms(question, by_site(long_rows())) == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize(
    ("strata", "ties", "wanted", "log_likelihood"),
    [
        # coxph(Surv(time, dead) ~ age + arm + offset(log(expo)) …, d, weights = w, robust = TRUE)
        (
            None,
            "efron",
            [
                -0.00622371027382,
                0.10144744837105,
                -0.04890942614324,
                0.00599153039884,
                0.16312071100198,
                0.17233952494409,
            ],
            (-1598.54179671, -1597.16821697),
        ),
        (
            None,
            "breslow",
            [
                -0.00605529078965,
                0.09398701200274,
                -0.04820414309437,
                0.00567908692967,
                0.15509247778306,
                0.16382797166034,
            ],
            (-1614.27459856, -1612.99500708),
        ),
        (
            "holder",
            "efron",
            [
                -0.0064925657858,
                0.1326450223725,
                -0.0320591999040,
                0.00577964969806,
                0.16010251770511,
                0.17256318668068,
            ],
            (-1269.13927998, -1267.52748066),
        ),
    ],
)
def test_weights_and_offsets_with_robust_errors(
    strata: Any, ties: str, wanted: list[float], log_likelihood: tuple[float, float]
) -> None:
    question = {"method": "cox", "formula": FORMULA + " + offset(log(expo))", "weights": "w", "errors": "HC0"}
    question |= {"strata": strata, "ties": ties}
    result = run(question, by_site(people())).result
    got = [row[name] for name in ("estimate", "std_error") for row in result["terms"]]
    assert got == pytest.approx(wanted, rel=1e-7)
    assert (result["log_likelihood_null"], result["log_likelihood"]) == pytest.approx(
        log_likelihood, rel=1e-9
    )
    plain = run(question | {"errors": "model"}, by_site(people())).result["terms"][0]
    if strata is None and ties == "efron":
        assert plain["std_error"] == pytest.approx(0.00494425569413, rel=1e-7)


def test_clusters() -> None:
    # coxph(Surv(time, dead) ~ age + arm + strata(site) + cluster(team), d)
    wanted = [0.00768376599839, 0.15150468527180, 0.14786088334253]
    for question in ({"formula": FORMULA + " + cluster(team)"}, {"formula": FORMULA, "cluster": "team"}):
        result = run({"method": "cox", **question}, by_site(people())).result
        assert [row["std_error"] for row in result["terms"]] == pytest.approx(wanted, rel=1e-7)
        assert (result["errors"], result["n_clusters"]) == ("HC0", 51)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        # cox.zph(coxph(…), transform)$table[, "chisq"]
        ({"strata": None, "proportional_hazards": "identity"}, [0.0617218099, 0.0809322440, 0.1439822206]),
        ({"strata": None, "proportional_hazards": "log"}, [0.1512692435, 0.0317379747, 0.1851553430]),
        ({"proportional_hazards": "identity"}, [0.0825369695, 0.1760837737, 0.2540053909]),
        ({"proportional_hazards": "log"}, [0.1624073574, 0.0607491259, 0.2235671951]),
        (
            {"formula": "Surv(time, dead) ~ age * arm", "strata": None, "proportional_hazards": "identity"},
            [0.0523496850, 0.1026110538, 0.1156352077, 0.6666097907],
        ),
        (
            LONG | {"proportional_hazards": "identity"},
            [0.048774618411, 0.227459450588, 22.946614393191, 23.219213209998],
        ),
    ],
)
def test_proportional_hazards(question: dict[str, Any], wanted: list[float]) -> None:
    frames = by_site(long_rows() if "id" in question else people())
    check = run({"method": "cox", "formula": FORMULA, **question}, frames).result["proportional_hazards"]
    assert [test["statistic"] for test in check["tests"]] == pytest.approx(wanted, rel=1e-7)
    assert [test["df"] for test in check["tests"]][:2] == [1, 2]
    assert check["tests"][-1]["term"] == "GLOBAL"


@pytest.mark.parametrize(
    ("strata", "ties", "rows"),
    [
        # summary(survfit(coxph(…), data.frame(age = 50, arm = "b"[, site = "h1"])), times = 1:4 * 10)
        (
            None,
            "efron",
            [
                (0.808123854239, 0.0319264037603, 0.747910551379, 0.213039947259),
                (0.664716614596, 0.0441472417409, 0.583584664858, 0.408394472615),
                (0.510102959812, 0.0524735735976, 0.416961482962, 0.673142691655),
                (0.405583660959, 0.0550170237663, 0.310896477052, 0.902428111149),
            ],
        ),
        (
            "holder",
            "efron",
            [
                (0.810489670982, 0.0471904138714, 0.723080482763, 0.210116681894),
                (0.668461437307, 0.0614794110674, 0.558200296676, 0.402776569509),
                (0.510705681566, 0.0707686229677, 0.389241792391, 0.671961820334),
                (0.414138027757, 0.0731211190653, 0.292991552080, 0.881555960344),
            ],
        ),
        ("holder", "breslow", [(0.816213075201, 0.0459058366518, 0.731021033867, 0.203079836534)]),
    ],
)
def test_survival_at_covariate_values(strata: Any, ties: str, rows: list[tuple[float, ...]]) -> None:
    question = {"method": "cox", "formula": FORMULA, "strata": strata, "ties": ties}
    curves = run(question | {"predict": AT, "grid": [10, 20, 30, 40]}, by_site(people())).result["survival"]
    [curve] = [c for c in curves if c["stratum"] in ("all", "h1")]
    figures = ("survival", "std_error", "conf_low", "cumulative_hazard")
    got = list(zip(*(curve[name] for name in figures), strict=True))
    for own, wanted in zip(got, rows, strict=False):
        assert own == pytest.approx(wanted, rel=1e-8)


def test_survival_of_a_counting_process() -> None:
    # survfit(coxph(Surv(start, stop, event) ~ age + dose, long), data.frame(age = 50, dose = 2))
    question = LONG | {"formula": "Surv(start, stop, event) ~ age + dose", "strata": None}
    question |= {"predict": {"age": 50, "dose": 2}, "grid": [10, 20, 30, 40]}
    [curve] = run(question, by_site(long_rows())).result["survival"]
    assert curve["survival"] == pytest.approx(
        [0.834442790752, 0.721351326172, 0.605336249265, 0.521178105693], rel=1e-9
    )
    assert curve["std_error"][0] == pytest.approx(0.0239907492713, rel=1e-9)


def test_survival_is_told_where_enough_persons_are() -> None:
    question = {"method": "cox", "formula": FORMULA, "predict": AT}
    result = run(question, by_site(people()), TEN)
    exact = run(question | {"grid": 1}, by_site(people())).result["survival"]
    frame = people()
    for curve, whole in zip(result.result["survival"], exact, strict=True):
        own = frame[frame["site"] == curve["stratum"]]
        until = [int(((own["time"] <= t) & (own["dead"] == 1)).sum()) for t in curve["time"]]
        steps = np.diff(until, prepend=0)
        assert ((steps == 0) | (steps >= 10)).all()
        assert all((own["time"] >= t).sum() >= 10 for t in curve["time"])
        at = [whole["time"].index(t) for t in curve["time"]]
        assert curve["survival"] == pytest.approx([whole["survival"][i] for i in at])


def test_persons_are_counted_and_not_rows() -> None:
    rows = long_rows()
    result = run(LONG, by_site(rows), TEN).result
    assert (result["n"], result["n_persons"]) == (len(rows), rows["id"].nunique())
    # Eight persons with two rows each are no more than eight.
    rare = rows.assign(arm=np.where(rows["id"] % 40 == 0, "z", "a"))
    assert (rare["arm"] == "z").sum() > 10 > rare[rare["arm"] == "z"]["id"].nunique()
    with pytest.raises(Refused, match=r"small-level.*arm = z"):
        run(LONG, by_site(rare), TEN)
    note = run({k: v for k, v in LONG.items() if k != "id"}, by_site(rows), TEN).notes
    assert any("Each row counted as a person" in sentence for sentence in note)


@pytest.mark.parametrize("n_holders", [2, 3])
def test_risk_sets_by_steps_are_near_the_exact_ones(n_holders: int) -> None:
    frames = [people().iloc[i::n_holders].reset_index(drop=True) for i in range(n_holders)]
    question = {"method": "cox", "formula": FORMULA, "strata": None}
    policy = DisclosurePolicy(shared_risk_sets=n_holders == 2)
    exact, near = run(question, frames), run(question, frames, policy)
    assert any("rounded its times up to steps" in note for note in near.notes)
    for one, other in zip(exact.result["terms"], near.result["terms"], strict=True):
        assert abs(one["estimate"] - other["estimate"]) < one["std_error"] / 2
        assert other["std_error"] == pytest.approx(one["std_error"], rel=0.15)
    long = LONG | {"formula": "Surv(start, stop, event) ~ dose", "strata": None}
    rows = long_rows()
    parts = [rows[rows["id"] % n_holders == i].reset_index(drop=True) for i in range(n_holders)]
    exact, near = run(long, parts), run(long, parts, policy)
    [one], [other] = exact.result["terms"], near.result["terms"]
    assert abs(one["estimate"] - other["estimate"]) < one["std_error"]


def test_one_of_two_holders_with_few_events_takes_no_part() -> None:
    frames = by_site(people())[:2]
    frames[0] = frames[0].assign(dead=(frames[0].index < 5).astype(int))
    with pytest.raises(Refused, match="an event"):
        run({"method": "cox", "formula": FORMULA}, frames, TEN)


def test_splines_and_one_cause_of_several() -> None:
    question = {"method": "cox", "formula": "Surv(time, code) ~ ns(age, knots = c(55, 65)) + arm"}
    question |= {"event": {"column": "code", "codes": [1]}}
    result = run(question, by_site(people())).result
    assert [row["term"] for row in result["terms"]][:2] == [
        "ns(age, knots = c(55, 65))1",
        "ns(age, knots = c(55, 65))2",
    ]
    assert result["n_events"] == int((people()["code"] == 1).sum())
    [basis] = result["bases"]
    assert basis["knots"] == [55, 65]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"formula": "Surv(start, stop, event, dose) ~ age"}, r"Surv\(start, stop, event\)"),
        ({"formula": "Surv(strat, stop, event) ~ age"}, "Did you mean 'start'"),
        ({"id": "idd"}, "unknown-column"),
        ({"weights": "arm"}, "not-numeric"),
        ({"errors": "HC1"}, "unknown-choice"),
        ({"proportional_hazards": "km"}, "unknown-choice"),
        ({"predict": [{"age": 50}]}, "needs a value of 'dose'"),
        ({"cluster": "team", "formula": "Surv(start, stop, event) ~ age + cluster(team)"}, "Clusters"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        run(LONG | change, by_site(long_rows()))


def test_a_row_that_ends_at_its_start_counts_as_missing() -> None:
    rows = long_rows()
    rows.loc[rows.index[:7], "stop"] = rows.loc[rows.index[:7], "start"]
    rows.loc[rows.index[7:10], "start"] = -1
    result = run(LONG, [*by_site(rows)], scope=scope_of(by_site(rows)))
    assert result.n_missing == 10
