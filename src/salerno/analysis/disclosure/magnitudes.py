"""Whether one or two persons make up most of a sum, so that the sum would tell their values.

Each holder checks its own part, and that is enough for the pool, as sizes are not negative. Write T, x, y for
a holder's total, largest and second largest contribution, and T', x', y' for the pool's.

- *Dominance*: the n largest of the pool are among the n largest of each holder, so together they are at most
  the sum over holders of these, which is at most share × sum of T = share × T'.
- *p %*: let x' be at holder a. Where y' is there too, T' - x' - y' >= T - x - y of that holder >= p x / 100.
  Where y' is at holder b, T' - x' - y' >= (T - x of a) + (T - y' of b) >= (T - x - y of a) >= p x / 100.

Source:
    EHDS Art. 73(2); Hundepool et al., Statistical Disclosure Control, 2012, ch. 4.2 ((n,k) and p % rules).
"""

from __future__ import annotations

from salerno.holdings.model import Contributions
from salerno.kernel.errors import Refused
from salerno.permits.model import DisclosurePolicy

_ROUNDING = 1e-12


def check_contributions(found: Contributions, policy: DisclosurePolicy) -> None:
    """Refuse sums that few persons dominate.

    Args:
        found: What the largest contribute to each sum of sizes.
        policy: ``dominance_persons``, ``dominance_share`` and ``p_percent``.

    Raises:
        Refused: ``dominance``; the sum and the persons are not told.
    """
    if policy.min_cell <= 1:
        return
    some = found.total > 0
    slack = _ROUNDING * found.total
    dominated = found.top > policy.dominance_share * found.total + slack
    rest = found.total - found.first - found.second
    guessed = rest < policy.p_percent / 100 * found.first - slack
    if (policy.dominance_persons and (some & dominated).any()) or (
        policy.p_percent and (some & guessed).any()
    ):
        raise Refused(
            "dominance",
            "One or two persons make up most of a sum that the answer would tell",
            rule="EHDS Art. 73(2); (n,k) and p % rules of the holder's policy",
            remedy="Ask about a larger group, or about another column.",
        )
