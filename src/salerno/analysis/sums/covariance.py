"""Covariance matrix of several variables over complete cases, in two rounds.

`start`, `local` and `guard` are those of the methods that answer from it; these differ in what they make of
the matrix that `pool` comes to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.persons import check_level, check_model_size, check_persons, check_some
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Scope, Sums
from salerno.analysis.questions import check_keys, names, numeric
from salerno.analysis.sums.columns import as_number, every, integers, is_present, is_yes_no, matrix, real
from salerno.catalogue.model import Variable
from salerno.kernel.errors import Invalid, Refused

PARAMETERS = (
    Parameter(
        name="variables", label="Columns", kind="columns", hint="Several columns with commas between them"
    ),
)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Covariance:
    """Means and covariance, as far as the rounds have come.

    Args:
        centres: Pooled means, None before the first round's end.
        means, matrix: The result, None before the second round's end.
    """

    scope: Scope
    variables: tuple[Variable, ...]
    rows: int = 0
    n: int = 0
    centres: Array | None = None
    means: Array | None = None
    matrix: Array | None = None

    @property
    def names(self) -> list[str]:
        """Names of the variables."""
        return [variable.name for variable in self.variables]

    def correlation(self) -> Array:
        """Pearson's correlations.

        Raises:
            Refused: A variable does not vary.
        """
        assert self.matrix is not None
        variances = np.diag(self.matrix)
        for variable, variance in zip(self.variables, variances.tolist(), strict=True):
            if variance <= 0:
                raise Refused("no-variation", f"{variable.name} is the same for everybody")
        sd = np.sqrt(variances)
        result: Array = np.clip(self.matrix / np.outer(sd, sd), -1.0, 1.0)
        np.fill_diagonal(result, 1.0)
        return result


def components(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues of a covariance or correlation matrix, falling, and its eigenvectors as columns.

    The largest element of each vector is positive, the first of those that are as large: two standardised
    columns always have a component with two equal ones, which rounding alone would tell apart.
    """
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    size = np.abs(vectors)
    largest = np.argmax(size >= size.max(axis=0) * (1 - 1e-6), axis=0)
    signs = np.sign(vectors[largest, np.arange(len(values))])
    return values, vectors * signs


def start(question: Question, scope: Scope) -> Covariance:
    """Read the ``variables`` of a question."""
    check_keys(question, PARAMETERS)
    return covariance_of(question, scope)


def covariance_of(question: Question, scope: Scope) -> Covariance:
    """The columns of ``variables``, before the first round."""
    listed = names(question, "variables")
    if len(listed) < 2:
        raise Invalid("too-few-variables", f"A {question.get('method')} question needs two variables or more")
    return Covariance(scope, tuple(numeric(scope, name, role="variables") for name in listed))


def local(view: ir.Table, state: Covariance) -> Aggregate:
    """Sums in the first round, centred products in the second."""
    complete = every(is_present(view, variable) for variable in state.variables)
    width = len(state.variables)
    if state.centres is None:
        metrics: dict[str, ir.Value] = {"rows": view.count(), "n": complete.sum()}
        for i, variable in enumerate(state.variables):
            value = as_number(view, variable)
            metrics[f"s{i}"] = value.sum(where=complete)
            metrics[f"z{i}"] = (complete & (value == 0.0)).sum()
            metrics[f"o{i}"] = (complete & (value == 1.0)).sum()

        def finish(table: pa.Table) -> Sums:
            return {
                "rows": np.array(integers(table, "rows").sum(), dtype=np.int64),
                "n": np.array(integers(table, "n").sum(), dtype=np.int64),
                "sums": matrix(table, [f"s{i}" for i in range(width)]).sum(axis=0),
                "zeros": np.array([integers(table, f"z{i}").sum() for i in range(width)], dtype=np.int64),
                "ones": np.array([integers(table, f"o{i}").sum() for i in range(width)], dtype=np.int64),
            }

        return Aggregate(view.aggregate(**metrics), finish, released(view, state.variables, complete))
    kept = view.filter(complete)
    rows = kept.select(
        **{f"x{i}": as_number(kept, v) - real(state.centres[i]) for i, v in enumerate(state.variables)}
    )
    upper = list(zip(*np.triu_indices(width), strict=True))
    products = {f"h{i}_{j}": (rows[f"x{i}"] * rows[f"x{j}"]).sum() for i, j in upper}
    expression = rows.aggregate(**{f"d{i}": rows[f"x{i}"].sum() for i in range(width)}, **products)

    def finish_products(table: pa.Table) -> Sums:
        return {
            "deviation": matrix(table, [f"d{i}" for i in range(width)]).sum(axis=0),
            "product": matrix(table, list(products)).sum(axis=0),
        }

    return Aggregate(expression, finish_products)


def released(
    view: ir.Table, variables: Sequence[Variable], complete: ir.BooleanValue
) -> tuple[Released, ...]:
    """The complete cases, and those with each value of a yes-or-no column, whose mean is their share."""
    parts = [view[v.name] for v in variables if is_yes_no(v)]
    return (Released(complete), *(Released(complete, (part,)) for part in parts))


def guard(sums: Sums, state: Covariance, scope: Scope) -> Sums:
    """Refuse to take part with too few persons."""
    if state.centres is None:
        check_persons(int(sums["n"]), scope.policy, who="This holder's part")
    return sums


def pool(sums: Sums, state: Covariance) -> Covariance:
    """The covariance after a round.

    Raises:
        Refused: Too few persons, in all or on one side of a 0/1 variable.
    """
    if state.centres is None:
        policy, n = state.scope.policy, int(sums["n"])
        check_some(n, policy)
        check_model_size(n, len(state.variables), policy)
        for name, zeros, ones in zip(state.names, sums["zeros"].tolist(), sums["ones"].tolist(), strict=True):
            check_level(n - zeros, policy, column=name, level="other than 0")
            if zeros + ones == n:
                check_level(zeros, policy, column=name, level="0")
        return replace(state, rows=int(sums["rows"]), n=n, centres=sums["sums"] / n)
    width = len(state.variables)
    products = np.zeros((width, width))
    upper = np.triu_indices(width)
    products[upper] = sums["product"]
    products.T[upper] = sums["product"]
    shift = sums["deviation"] / state.n
    covariance = (products - state.n * np.outer(shift, shift)) / max(state.n - 1, 1)
    assert state.centres is not None
    return replace(state, means=state.centres + shift, matrix=covariance)
