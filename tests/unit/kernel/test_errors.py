"""Errors: one sentence, one exit code and one HTTP status per branch, and back over the wire."""

from __future__ import annotations

import pickle

import pytest

from salerno.kernel.codes import Purpose
from salerno.kernel.errors import (
    BRANCHES,
    Conflict,
    Invalid,
    NotFound,
    Refused,
    SalernoError,
    Unavailable,
    near,
    parse_problem,
    rebuild_error,
)

EXPIRED = Refused(
    "permit-expired",
    "Permit P-0042 ended on 2031-03-01.",
    rule="EHDS Art. 68(12)",
    remedy="Ask for an extension before the end date, or apply again.",
)


def test_an_error_reads_as_what_rule_remedy() -> None:
    assert str(EXPIRED) == (
        "permit-expired: Permit P-0042 ended on 2031-03-01 (EHDS Art. 68(12)). "
        "Ask for an extension before the end date, or apply again."
    )
    assert str(Invalid("x", "Something is wrong")) == "x: Something is wrong."


@pytest.mark.parametrize(
    ("branch", "exit_code", "status"),
    [(Invalid, 2, 422), (Refused, 3, 403), (NotFound, 4, 404), (Conflict, 5, 409), (Unavailable, 6, 503)],
)
def test_each_branch_has_its_codes_and_survives_the_wire(
    branch: type[SalernoError], exit_code: int, status: int
) -> None:
    error = branch("code", "What was wrong", rule="Art. 1", remedy="Do this.")
    assert (error.exit_code, error.status) == (exit_code, status)
    back = parse_problem(error.to_problem(), status)
    assert type(back) is branch
    assert str(back) == str(error)


def test_exit_codes_and_statuses_are_unique() -> None:
    assert len({branch.exit_code for branch in BRANCHES.values()}) == len(BRANCHES)
    assert len({branch.status for branch in BRANCHES.values()}) == len(BRANCHES)


@pytest.mark.parametrize(
    ("status", "branch"),
    [(401, Refused), (400, Invalid), (418, Invalid), (500, SalernoError), (502, Unavailable)],
)
def test_a_peers_other_statuses_have_a_branch(status: int, branch: type[SalernoError]) -> None:
    error = parse_problem({}, status)
    assert type(error) is branch
    assert error.code == f"http-{status}"


def test_an_error_can_be_pickled_and_rebuilt() -> None:
    copy = pickle.loads(pickle.dumps(EXPIRED))
    assert type(copy) is Refused
    assert (copy.code, copy.what, copy.rule, copy.remedy) == (
        EXPIRED.code, EXPIRED.what, EXPIRED.rule, EXPIRED.remedy,
    )  # fmt: skip
    assert type(rebuild_error("Unheard", "c", "w", "", "")) is SalernoError


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("agee", ["age", "sex"], "Did you mean 'age'?"),
        ("AGE", ["age", "sex"], "Did you mean 'age'?"),
        ("zzz", ["age", "sex"], "Known are: age, sex."),
        ("zzz", [], "None are known."),
        ("zzz", [f"column{n:02d}" for n in range(30)], "Known are: "),
    ],
)
def test_a_misspelt_name_gets_the_near_one(name: str, known: list[str], sentence: str) -> None:
    assert near(name, known).startswith(sentence)


def test_members_of_an_enumeration_read_as_their_values() -> None:
    assert near("reserch", Purpose) == "Did you mean 'research'?"


def test_a_long_list_of_names_is_cut() -> None:
    assert near("zzz", [f"column{n:02d}" for n in range(30)]).endswith("column19, ….")
