"""One short function per analysis method, so that a question can be written as a Python call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from salerno.client.answer import Answer


class Questions:
    """The analysis methods as calls; what each answers stands with the method itself.

    Every call takes further members of the question as keyword arguments. Arguments that are left
    out do not appear in the question, so that the method's own defaults hold.
    """

    def ask(self, question: Mapping[str, Any]) -> Answer:
        """Ask and wait for the answer."""
        raise NotImplementedError

    def _ask(self, method: str, given: Mapping[str, Any], more: Mapping[str, Any]) -> Answer:
        members = {name: value for name, value in given.items() if value is not None}
        return self.ask({"method": method, **members, **more})

    def count(self, *, by: str | Sequence[str] | None = None, **more: Any) -> Answer:
        """Persons, in all or by the levels of categorical columns."""
        return self._ask("count", {"by": _plain(by)}, more)

    def describe(
        self, variables: str | Sequence[str], *, by: str | Sequence[str] | None = None, **more: Any
    ) -> Answer:
        """Number, missing, mean, variance and standard deviation of one or several numeric columns."""
        one = isinstance(variables, str)
        wanted = {"variable": variables} if one else {"variables": list(variables)}
        return self._ask("describe", {**wanted, "by": _plain(by)}, more)

    def crosstab(self, rows: str, columns: str, **more: Any) -> Answer:
        """Persons by two categorical columns, with the chi-square test."""
        return self._ask("crosstab", {"rows": rows, "columns": columns}, more)

    def histogram(self, variable: str, *, bins: int | None = None, **more: Any) -> Answer:
        """Persons per interval of a numeric column."""
        return self._ask("histogram", {"variable": variable, "bins": bins}, more)

    def quantiles(self, variable: str, probabilities: Sequence[float] | None = None, **more: Any) -> Answer:
        """Quantiles of a numeric column, to the resolution that disclosure control allows."""
        wanted = None if probabilities is None else list(probabilities)
        return self._ask("quantiles", {"variable": variable, "probabilities": wanted}, more)

    def t_test(self, variable: str, by: str, **more: Any) -> Answer:
        """Difference of means of a numeric column between the two levels of another."""
        return self._ask("t_test", {"variable": variable, "by": by}, more)

    def correlation(self, variables: Sequence[str], **more: Any) -> Answer:
        """Pearson correlations between numeric columns."""
        return self._ask("correlation", {"variables": list(variables)}, more)

    def kaplan_meier(
        self,
        time: str = "time",
        event: str = "status",
        *,
        by: str | None = None,
        grid: float | None = None,
        **more: Any,
    ) -> Answer:
        """Survival curves on a grid of times, in the unit of the time column."""
        return self._ask("kaplan_meier", {"time": time, "event": event, "by": by, "grid": grid}, more)

    def log_rank(self, time: str = "time", event: str = "status", *, by: str, **more: Any) -> Answer:
        """Test whether survival differs between groups."""
        return self._ask("log_rank", {"time": time, "event": event, "by": by}, more)

    def competing_risks(
        self,
        time: str = "time",
        event: str = "status",
        *,
        causes: Mapping[str, Sequence[Any]] | Sequence[Any],
        by: str | None = None,
        grid: float | None = None,
        **more: Any,
    ) -> Answer:
        """Cumulative incidence of each of several events, e.g. ``causes={"relapse": [1], "death": [2]}``."""
        given = (
            {name: list(codes) for name, codes in causes.items()}
            if isinstance(causes, Mapping)
            else list(causes)
        )
        members = {"time": time, "event": event, "causes": given, "by": by, "grid": grid}
        return self._ask("competing_risks", members, more)

    def restricted_mean(
        self,
        time: str = "time",
        event: str = "status",
        *,
        by: str | None = None,
        horizon: float | None = None,
        **more: Any,
    ) -> Answer:
        """Mean time without the event up to a horizon, by group and compared."""
        members = {"time": time, "event": event, "by": by, "horizon": horizon}
        return self._ask("restricted_mean", members, more)

    def cox(self, formula: str, *, ties: str | None = None, **more: Any) -> Answer:
        """Proportional hazards regression, e.g. ``cox("Surv(time, status) ~ age + sex", ties="efron")``.

        Stratified by holder unless ``strata=None`` is given, which asks for shared risk sets.
        """
        return self._ask("cox", {"formula": formula, "ties": ties}, more)

    def glm(self, formula: str, *, family: str | None = None, **more: Any) -> Answer:
        """Generalised linear model: ``gaussian``, ``binomial``, ``poisson`` or ``gamma``."""
        return self._ask("glm", {"formula": formula, "family": family}, more)

    def lmm(self, formula: str, *, estimator: str | None = None, **more: Any) -> Answer:
        """Linear mixed model, e.g. ``lmm("los ~ age + (1 | holder)")``."""
        return self._ask("lmm", {"formula": formula, "estimator": estimator}, more)

    def meta(self, question: Mapping[str, Any], *, estimator: str | None = None, **more: Any) -> Answer:
        """Meta-analysis of a ``glm`` or ``cox`` question that each holder answers by itself."""
        return self._ask("meta", {"question": dict(question), "estimator": estimator}, more)


def _plain(names: str | Sequence[str] | None) -> str | list[str] | None:
    return names if names is None or isinstance(names, str) else list(names)
