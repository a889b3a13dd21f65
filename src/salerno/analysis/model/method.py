"""What a statistical method is made of: questions, states, sums, and what they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.holdings.model import Dictionary, Learning, Numbers, Task, Trained
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
        numbers: Values of the expression's parameters, where it stays the same from round to round.
    """

    expression: ibis.Table
    finish: Callable[[pa.Table], Sums]
    released: tuple[Released, ...] = ()
    numbers: Numbers = field(default_factory=dict)


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
