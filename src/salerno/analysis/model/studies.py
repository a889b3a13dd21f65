"""Studies and their questions, as the coordinator keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from salerno.holdings.model import StudyFrame


class QuestionState(StrEnum):
    """Where a question is."""

    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of the contract; `to_plain` of it is the wire format."""

    method: str
    question: dict[str, Any]
    holders: tuple[str, ...]
    n: int
    n_missing: int
    result: dict[str, Any]
    disclosure: dict[str, Any]
    rounds: int
    seconds: float
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """How a study goes on when a holder is missing.

    Args:
        min_holders: Fewest holders to go on with when one is lost; None means that all must answer.
        on_refusal: ``fail``, or ``leave-out`` to go on without a holder that refuses at the opening.
        datasets: Data set to read by holder DID, where the permits cover several of one holder.
    """

    min_holders: int | None = None
    on_refusal: Literal["fail", "leave-out"] = "fail"
    datasets: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Questions that share permits, data sets and a frame.

    Args:
        permits: Identifiers of the permits.
        datasets: Data set that is read, by holder DID.
    """

    id: str
    title: str
    user: str
    purpose: str
    permits: tuple[str, ...]
    frame: StudyFrame
    created_at: datetime
    options: StudyOptions = field(default_factory=StudyOptions)
    datasets: dict[str, str] = field(default_factory=dict)


HolderState = Literal["opening", "opened", "computing", "answered", "refused", "silent", "left-out"]
"""What a holder does for a question: ``silent`` has not given a sign of life for some time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderProgress:
    """Where one holder stands in the open step of a question.

    Args:
        holder: DID.
        name: For people.
        seconds: For a holder that is waited for: since it was asked, or last gave a sign of life.
        reason: Why it refuses or was left out.
    """

    holder: str
    name: str
    state: HolderState
    seconds: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuestion:
    """A question of a study, with its answer or the error that ended it.

    Args:
        progress: Sentence for people on where it stands, e.g. ``round 3, waiting for Finland``.
        error: Problem JSON when it failed.
        holders: Each holder's part, while it runs and when it failed; the answer tells it otherwise.
    """

    id: str
    study: str
    question: dict[str, Any]
    state: QuestionState
    asked_at: datetime
    answer: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    progress: str = ""
    holders: tuple[HolderProgress, ...] = ()
