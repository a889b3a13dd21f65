"""Estimates of survival from events and censorings by tick; pure arithmetic on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


def at_risk(died: Counts, left: Counts) -> Counts:
    """Persons with at least each tick, by group."""
    gone = died + left
    result: Counts = np.flip(np.cumsum(np.flip(gone, axis=-1), axis=-1), axis=-1)
    return result


@dataclass(frozen=True)
class Curve:
    """The Kaplan-Meier estimate of one group at every tick, with Greenwood's variance of its logarithm."""

    survival: Array
    log_variance: Array
    at_risk: Counts
    died: Counts

    def median(self) -> float | None:
        """Tick at which half have died; between two ticks when the curve is flat at one half, as R has it."""
        below = np.flatnonzero(self.survival <= 0.5 + 1e-12)
        if not len(below):
            return None
        first = int(below[0])
        if abs(self.survival[first] - 0.5) < 1e-12:
            further = np.flatnonzero(self.survival < 0.5 - 1e-12)
            # R takes the midpoint up to the next event, or to the last time of all.
            end = int(further[0]) if len(further) else int(np.flatnonzero(self.at_risk)[-1])
            return (first + end) / 2
        return float(first)


def kaplan_meier(died: Counts, left: Counts) -> Curve:
    """The product-limit estimate from events and censorings by tick of one group."""
    risk = at_risk(died, left)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(risk > 0, 1.0 - died / risk, 1.0)
        hazard = np.where(died > 0, died / (risk * (risk - died).astype(np.float64)), 0.0)
    return Curve(np.cumprod(factor, dtype=np.float64), np.cumsum(hazard), risk, died)


def log_rank(died: Counts, left: Counts) -> tuple[Array, Array]:
    """Expected events by group, and the covariance of observed minus expected.

    Args:
        died: Events, shape (groups, ticks).
        left: Censorings, same shape.
    """
    risk = at_risk(died, left).astype(np.float64)
    total_risk, total_died = risk.sum(axis=0), died.sum(axis=0)
    used = total_died > 0
    risk, total_risk, total_died = risk[:, used], total_risk[used], total_died[used]
    share = risk / total_risk
    expected = (share * total_died).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(total_risk > 1, total_died * (total_risk - total_died) / (total_risk - 1), 0.0)
    covariance = np.diag((share * scale).sum(axis=1)) - np.einsum("gt,ht,t->gh", share, share, scale)
    return expected, covariance


def curve_limits(estimate: Array, error: Array, *, conf_level: float, conf_type: str) -> tuple[Array, Array]:
    """Confidence limits of probabilities as R's survfit has them, within 0 and 1.

    Args:
        estimate: Probabilities.
        error: Their standard errors.
        conf_level: E.g. 0.95.
        conf_type: ``log``, ``log-log`` or ``plain``.
    """
    width = float(ndtri(0.5 + conf_level / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = width * error
        if conf_type == "plain":
            return np.maximum(estimate - spread, 0.0), np.minimum(estimate + spread, 1.0)
        spread = spread / estimate
        if conf_type == "log":
            return estimate * np.exp(-spread), np.minimum(estimate * np.exp(spread), 1.0)
        inner = np.log(-np.log(estimate))
        spread = spread / np.log(estimate)
        return np.exp(-np.exp(inner - spread)), np.exp(-np.exp(inner + spread))


def restricted_mean(curve: Curve, *, horizon: float, resolution: float) -> tuple[float, float]:
    """Mean time up to a horizon, and its standard error.

    Args:
        curve: Of one group.
        horizon: In the unit of time.
        resolution: Length of a tick.

    Source:
        Klein and Moeschberger, Survival Analysis (2003), eq. 4.5.1 and 4.5.2; as R's survfit prints it.
    """
    last = int(np.floor(horizon / resolution + 1e-9))
    survival = curve.survival[: last + 1]
    length = np.full(last + 1, resolution)
    length[-1] = horizon - last * resolution
    after = np.flip(np.cumsum(np.flip(survival * length)))
    risk = curve.at_risk[: last + 1].astype(np.float64)
    died = curve.died[: last + 1]
    staying = risk - died
    some = (died > 0) & (staying > 0)
    variance = float((after[some] ** 2 * died[some] / (risk[some] * staying[some])).sum())
    return float(after[0]), float(np.sqrt(variance))


@dataclass(frozen=True)
class Incidence:
    """Aalen and Johansen's estimate of one group: the share that has had each kind of event, by tick.

    Args:
        incidence: Shape (kinds, ticks).
        survival: Share without any event, shape (ticks,).
        at_risk: Persons, shape (ticks,).
        died: Events of each kind, shape (kinds, ticks).
        left: Those who left without an event, shape (ticks,).
    """

    incidence: Array
    survival: Array
    at_risk: Counts
    died: Counts
    left: Counts

    def errors(self, wanted: Counts) -> Array:
        """Standard errors at some ticks, by the infinitesimal jackknife as R's survfit has them.

        A person's influence on the incidence depends on when and how it left, and is summed in closed form.

        Returns:
            Shape (kinds, wanted).

        Source:
            Therneau, Crowson, Atkinson, Multi-state models and competing risks (survival package), ch. 2;
            Andersen et al., Statistical Models Based on Counting Processes (1993), sec. IV.4.
        """
        risk = np.maximum(self.at_risk, 1).astype(np.float64)
        before = np.append(1.0, self.survival[:-1])
        hazards = self.died / risk
        hazard = hazards.sum(axis=0)
        with np.errstate(divide="ignore"):
            jump = np.where(hazard < 1.0 - 1e-12, 1.0 / (risk * (1.0 - hazard)), 0.0)
        held = np.cumsum(before * hazards / risk, axis=1)
        drift = np.cumsum(hazard * jump)
        result = np.zeros((len(self.died), len(wanted)))
        for kind, share in enumerate(self.incidence):
            path = np.cumsum(hazard * jump * share)
            for i, tick in enumerate(wanted.tolist()):
                upto = slice(0, tick + 1)
                stay = -held[kind, upto] + share[tick] * drift[upto] - path[upto]
                event = stay - (share[tick] - share[upto]) * jump[upto]
                own = event + before[upto] / risk[upto]
                later = int(self.at_risk[tick]) - int(self.died[:, tick].sum()) - int(self.left[tick])
                total = later * stay[-1] ** 2 + float(self.left[upto] @ stay**2)
                others = self.died[:, upto].sum(axis=0) - self.died[kind, upto]
                total += float(others @ event**2) + float(self.died[kind, upto] @ own**2)
                result[kind, i] = np.sqrt(total)
        return result


def cumulative_incidence(died: Counts, left: Counts) -> Incidence:
    """The Aalen-Johansen estimate from events of each kind and censorings by tick of one group.

    Args:
        died: Shape (kinds, ticks).
        left: Shape (ticks,).
    """
    everybody = kaplan_meier(died.sum(axis=0), left)
    before = np.append(1.0, everybody.survival[:-1])
    risk = np.maximum(everybody.at_risk, 1)
    return Incidence(
        np.cumsum(before * died / risk, axis=1), everybody.survival, everybody.at_risk, died, left
    )
