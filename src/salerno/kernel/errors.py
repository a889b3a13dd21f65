"""The one tree of errors that Salerno raises.

SalernoError
├── Refused      the caller may not, or the law, the permit or disclosure control forbids (exit 3, HTTP 403)
├── NotFound     no such thing, or not the caller's: both look alike from outside        (exit 4, HTTP 404)
├── Conflict     the thing's state does not allow the step                               (exit 5, HTTP 409)
├── Invalid      the input is wrong; nothing was stored                                  (exit 2, HTTP 422)
└── Unavailable  a peer, a file or an engine cannot be used at the moment                (exit 6, HTTP 503)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar


class SalernoError(Exception):
    """What went wrong, in the words that every surface shows.

    Args:
        code: Stable kebab-case identifier of the kind of error, e.g. ``permit-expired``.
        what: One sentence that names what was wrong, without personal data.
        rule: Source of the rule that was broken, e.g. ``EHDS Art. 68(12)``; empty when there is none.
        remedy: What the reader can do; empty when nothing helps.
    """

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, what: str, *, rule: str = "", remedy: str = "") -> None:
        self.code = code
        self.what = what
        self.rule = rule
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        sentence = f"{self.code}: {self.what.rstrip('.')}"
        if self.rule:
            sentence += f" ({self.rule})"
        return f"{sentence}. {self.remedy}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild_error, (type(self).__name__, self.code, self.what, self.rule, self.remedy)

    def to_problem(self) -> dict[str, Any]:
        """The error as RFC 9457 problem JSON."""
        return {
            "type": f"urn:salerno:error:{self.code}",
            "title": self.code,
            "status": self.status,
            "detail": self.what,
            "rule": self.rule,
            "remedy": self.remedy,
        }


class Refused(SalernoError):
    """The caller may not, or law, permit or disclosure control forbids it."""

    status = 403
    exit_code = 3


class NotFound(SalernoError):
    """There is no such thing, or it is not the caller's."""

    status = 404
    exit_code = 4


class Conflict(SalernoError):
    """The state of the thing does not allow this step."""

    status = 409
    exit_code = 5


class Invalid(SalernoError):
    """The input is wrong; nothing was stored."""

    status = 422
    exit_code = 2


class Unavailable(SalernoError):
    """A peer, a file or an engine cannot be used at the moment; trying again may help."""

    status = 503
    exit_code = 6


BRANCHES: Mapping[str, type[SalernoError]] = {
    branch.__name__: branch for branch in (SalernoError, Refused, NotFound, Conflict, Invalid, Unavailable)
}


def rebuild_error(branch: str, code: str, what: str, rule: str, remedy: str) -> SalernoError:
    """Make the error again from its parts, for pickling and for the database."""
    return BRANCHES.get(branch, SalernoError)(code, what, rule=rule, remedy=remedy)


def parse_problem(problem: Mapping[str, Any], status: int) -> SalernoError:
    """Turn a peer's RFC 9457 problem JSON back into an error of the same branch.

    Args:
        problem: The decoded body of the peer's answer; unknown members are ignored.
        status: HTTP status of the answer, which decides the branch.
    """
    branch = next((b for b in BRANCHES.values() if b.status == status), None)
    if branch is None:
        branch = Unavailable if status >= 500 else Refused if status == 401 else Invalid
    return branch(
        str(problem.get("title", f"http-{status}")),
        str(problem.get("detail", f"The peer answered with HTTP status {status}")),
        rule=str(problem.get("rule", "")),
        remedy=str(problem.get("remedy", "")),
    )


def near(name: str, known: Iterable[str]) -> str:
    """A sentence that helps with a misspelt name: the closest known one, or all of them.

    >>> near("agee", ["age", "sex"])
    "Did you mean 'age'?"
    """
    names = sorted(str(each) for each in known)  # members of a StrEnum read as their values
    lowered = {n.lower(): n for n in names}
    matches = get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    if matches:
        return f"Did you mean {lowered[matches[0]]!r}?"
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"Known are: {shown}." if names else "None are known."
