"""The analysis contract: questions, sums, rounds, answers.

A statistical method is three pure functions (see `Method`). Both the coordinator and every holder
replay them from the same question and the same totals, so a state never crosses the border and
nobody can be probed with chosen coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.holdings.model import Dictionary, Learning, StudyFrame, Task, Trained
from salerno.permits.model import DisclosurePolicy

Question = Mapping[str, Any]
"""A question as JSON: ``{"method": "cox", "formula": …}``."""

Sums = dict[str, NDArray[Any]]
"""Named arrays that add over holders: int64 arrays are exact counts, float64 arrays exact fixed-point sums.

Names, shapes and kinds are the same at every holder: they follow from the state alone.
"""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What all nodes of a run agree on before its first round.

    Args:
        dictionary: Columns with the factor levels agreed over all holders.
        policy: The strictest of the permits' and the holders' policies.
        holders: DIDs of the participants, in the order that fixes masks and factor levels of ``holder``.
        names: Name for people by DID.
    """

    dictionary: Dictionary
    policy: DisclosurePolicy
    holders: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def few(self) -> bool:
        """Masks hide nothing from a holder when there are fewer than three: thresholds apply per holder."""
        return len(self.holders) < 3


@dataclass(frozen=True)
class Released:
    """Whom figures of an answer rest on; what a holder's ledger remembers of it never leaves the holder.

    Args:
        rows: Which rows of the view the figures use.
        keys: What the figures tell apart, e.g. the factors of a table: one set of persons for each
            combination that occurs. None means one set, of all the rows.
        sums: Amounts whose sum or mean over each set is told, so that no few persons may make up most of it.
    """

    rows: ir.BooleanValue
    keys: tuple[ir.Value, ...] = ()
    sums: tuple[ir.NumericValue, ...] = ()


@dataclass(frozen=True)
class Aggregate:
    """What one holder computes in one round.

    Args:
        expression: One Ibis aggregate over the permitted view, one row or one row per group.
        finish: Turns the aggregated rows into sums of the layout that the state fixes; pure.
        released: Told in the first round: the sets of persons that the answer's figures will rest on.
    """

    expression: ibis.Table
    finish: Callable[[pa.Table], Sums]
    released: tuple[Released, ...] = ()


class Stage(Protocol):
    """Rows that the holder's engine keeps for the next rounds; equal stages make equal rows of equal rows."""

    def rows(self, table: ibis.Table) -> ibis.Table:
        """Made of the view, or of the rows of the stage before."""
        ...


@dataclass(frozen=True)
class Training:
    """What one holder has an app do in one round, in the holder's sandbox, instead of an aggregate.

    Args:
        rows: From the permitted view to the rows of it that the app sees; they never leave the holder.
        learning: Which app trains what.
        task: What it is asked for.
        finish: Turns what came out into sums of the layout that the state fixes; pure.
    """

    rows: Callable[[ibis.Table], ibis.Table]
    learning: Learning
    task: Task
    finish: Callable[[Trained], Sums]


@dataclass(frozen=True)
class Sensitivity:
    """What one person changes in the whole numbers that get noise; of methods that can add it.

    Args:
        numbers: How many of them one person changes at most.
        most: By how much at most, for each of them.
    """

    numbers: int
    most: NDArray[np.int64]


@dataclass(frozen=True)
class Result:
    """The end of a method.

    Args:
        result: The ``result`` member of the answer, of the method's documented shape.
        n: Complete cases, persons or rows.
        n_missing: Rows dropped for missing values.
        notes: Sentences on what disclosure control changed, for ``disclosure.notes``.
        suppressed: Number of suppressed cells or steps.
    """

    result: dict[str, Any]
    n: int
    n_missing: int = 0
    notes: tuple[str, ...] = ()
    suppressed: int = 0


ParameterKind = Literal[
    "column", "columns", "one-or-more", "number", "numbers", "text", "formula", "choice", "object"
]
"""What a parameter takes: a column, a list of columns, one or several columns, numbers, a choice, JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One key of a method's question; forms, documentation and the check of a question come from it.

    Args:
        name: Key in the question.
        label: What it asks for, for people.
        kind: What it takes.
        hint: Help.
        default: What an empty form shows.
        optional: Whether the question can do without it.
        advanced: Whether a form leaves it to those who ask for more.
        options: For a choice: value and label. The value ``null`` is sent as JSON null, empty not at all.
    """

    name: str
    label: str
    kind: ParameterKind = "column"
    hint: str = ""
    default: str = ""
    optional: bool = False
    advanced: bool = False
    options: tuple[tuple[str, str], ...] = ()


class Method(Protocol):
    """A module under ``analysis/methods`` with these members. No function does any I/O.

    ``NAME`` is the module's own name; ``LABEL`` and the first line of the docstring are for people;
    ``PARAMETERS`` are all keys that its questions may have, beside ``method`` and ``missing``. A method
    with a function ``train`` from a state to a `Training`, or None for a round of `local`, has apps compute
    rounds. One whose rounds share work on rows has a function ``stages`` from a state to the stages, one
    after the other, in which a round's rows are made; `local` gets the rows of the last instead of the view.
    """

    NAME: str
    LABEL: str
    PARAMETERS: tuple[Parameter, ...]

    def start(self, question: Question, scope: Scope) -> Any:
        """The first state.

        Raises:
            Invalid: The question cannot be asked; a misspelt name is met with the nearest known one.
            Refused: Disclosure control forbids it.
        """
        ...

    def local(self, view: ibis.Table, state: Any) -> Aggregate:
        """What one holder computes in a round.

        Args:
            view: Columns of the dictionary plus ``holder`` (the holder's name, a string).
            state: The round's state.
        """
        ...

    def guard(self, sums: Sums, state: Any, scope: Scope) -> Sums:
        """Lets the holder refuse or blank out its own sums before they are masked."""
        ...

    def step(self, sums: Sums, state: Any) -> Any | Result:
        """From the totals over all holders to the next state, or to the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySpec:
    """Name, shape and kind (``i`` count, ``f`` fixed point) of one array in a share."""

    name: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOpening:
    """What the coordinator tells each holder once, before the rounds of a run.

    Args:
        study, question_id: Identifiers at the coordinator.
        run: 1, then 2, … when a lost holder made the coordinator start again.
        question: The question as the researcher asked it.
        frame: What is read of each holding.
        permits: All permits of the study as VC-JWT; a holder uses the one that covers its data set.
        dataset: IRI of the data set to read, by holder DID.
        user: Account identifier of the researcher.
        purpose: Purpose code.
    """

    study: str
    question_id: str
    run: int
    question: dict[str, Any]
    frame: StudyFrame
    permits: tuple[str, ...]
    dataset: dict[str, str]
    user: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One holder's masked sums of one round, or its refusal.

    Args:
        header: Compact JWS by the holder over `ShareHeader`.
        words: Masked words, little-endian uint64; empty for a refusal.
    """

    header: str
    words: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareHeader:
    """What a holder signs about its share: where it belongs, its layout and the hash of its words.

    Args:
        scope: Digest of the agreed scope.
        refusal: Problem JSON when the holder refuses; the share then has no words.
    """

    question_id: str
    run: int
    round: int
    scope: str
    holders: tuple[str, ...]
    arrays: tuple[ArraySpec, ...]
    words_sha256: str
    refusal: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A holder's signed reply to a `RunOpening`: what it would compute on, or why it refuses.

    Args:
        opening: SHA-256 of the opening's JWS that it replies to.
        dictionary: Columns of its frame; None when it refuses.
        policy: Stricter of its own policy and the permit's.
        permit: Identifier of the permit that it used.
        refusal: Problem JSON when it refuses.
    """

    question_id: str
    run: int
    holder: str
    opening: str
    dictionary: Dictionary | None = None
    policy: DisclosurePolicy = field(default_factory=DisclosurePolicy)
    permit: str = ""
    refusal: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundCall:
    """What the coordinator signs when it asks for a round.

    Args:
        scope: Digest of the agreed scope.
        previous: SHA-256 of each share's header of the round before, in the order of the scope's holders;
            empty in round 1.
    """

    question_id: str
    run: int
    round: int
    scope: str
    previous: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One thing that the coordinator wants of a holder.

    Args:
        kind: ``opening`` or ``round``.
        token: Compact JWS by the coordinator over a `RunOpening` or a `RoundCall`.
        scope: In round 1, what all agree on.
        previous: After round 1, every holder's share of the round before, in the order of the scope.
    """

    kind: str
    token: str
    scope: Scope | None = None
    previous: tuple[Share, ...] = ()


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
