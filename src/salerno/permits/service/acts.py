"""Officers' acts by name, for routes and pages alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from salerno.kernel.errors import Invalid, near
from salerno.permits.model import BoardView, Case
from salerno.permits.service import PermitDesk

OFFICERS_ACTS: Mapping[str, tuple[str, Callable[[PermitDesk, str, str, str], Case]]] = {
    "take-up": (
        "Begin to look whether an application is complete.",
        lambda desk, case_id, by, _: desk.take_up(case_id, by),
    ),
    "find-complete": (
        "End the pre-screening: the application can be assessed.",
        lambda desk, case_id, by, _: desk.find_complete(case_id, by),
    ),
    "declare-conflict": (
        "Declare a conflict of interest; the words say which.",
        lambda desk, case_id, by, words: desk.declare_conflict(case_id, by, words),
    ),
    "extend": (
        "Extend the period for the decision, once; the words say why.",
        lambda desk, case_id, by, words: desk.extend(case_id, by, words),
    ),
    "send-back": (
        "Do not confirm a proposed decision; the words say what has to be changed.",
        lambda desk, case_id, by, words: desk.send_back(case_id, by, words),
    ),
    "lapse": (
        "Close a case that was not completed in time.",
        lambda desk, case_id, by, _: desk.lapse(case_id, by),
    ),
    "dismiss-appeal": (
        "Leave a decision as it is; the words say why.",
        lambda desk, case_id, by, words: desk.dismiss_appeal(case_id, by, words),
    ),
    "uphold-appeal": (
        "Process a case again; the words say why.",
        lambda desk, case_id, by, words: desk.uphold_appeal(case_id, by, words),
    ),
}
"""Officers' acts that take words or nothing, for routes and pages: what they do, and the use case."""


def board_view(name: str) -> BoardView:
    """A list of the board by its name.

    Raises:
        Invalid: There is none of this name.
    """
    names = [view.value for view in BoardView]
    if name not in names:
        raise Invalid("no-such-view", f"There is no list {name!r} of cases", remedy=near(name, names))
    return BoardView(name)


def page_limit(limit: int) -> int:
    """A page's length as it may be: 1 to 200."""
    return max(1, min(limit, 200))
