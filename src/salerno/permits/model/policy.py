"""How small what leaves a holder may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosurePolicy:
    """How small what leaves a holder may be; a holder's own policy, tightened by the permit's.

    A number of 0, other than a share, switches its rule off. With a `min_cell` of 1 everything may be told,
    so nothing is checked but the shape of a model.

    Args:
        min_cell: Smallest number of persons behind a published figure.
        min_holders: Fewest holders in a pooled answer.
        max_parameter_ratio: Most model parameters per observation.
        min_degrees_of_freedom: Fewest residual degrees of freedom of a model.
        max_rounds: Most rounds of one question.
        max_training_rounds: Most rounds of a question that trains a model step by step.
        shared_risk_sets: Whether the coordinator may see pooled risk-set sums per event time.
        holder_estimates: Whether figures of one holder alone may be told where they pass all other rules, as
            in a meta-analysis of the holders' own models, or in random effects by holder.
        masks: Whether sums must be masked.
        dominance_persons, dominance_share: A sum may not be told when this many persons make up more than
            this share of it.
        p_percent: A sum may not be told when the second largest contributor could work out the largest to
            within this percentage.
        rounding: Counts of tables are told as multiples of this.
        differencing: Whether a question is refused when its persons differ from those of an earlier one by
            fewer than `min_cell`.
        max_questions_per_variable: Most different questions of one user that name the same column.
        max_membership_advantage: How much better than chance an attack may tell the records that a released
            model was trained on; 1 for no check.
        max_update_norm: Largest change that one holder's training may make to a model in a round.
        epsilon: Budget of differential privacy of a permit at each holder; with one, only methods that add
            noise are answered.
        epsilon_per_question: What one question spends of it.
        delta: With one, noise is Gaussian and the budget is (epsilon, delta), of which a question spends its
            share of both; 0 for Laplace noise and epsilon alone.
    """

    min_cell: int = 10
    min_holders: int = 1
    max_parameter_ratio: float = 0.33
    min_degrees_of_freedom: int = 10
    max_rounds: int = 25
    max_training_rounds: int = 300
    shared_risk_sets: bool = True
    holder_estimates: bool = True
    masks: bool = True
    dominance_persons: int = 2
    dominance_share: float = 0.9
    p_percent: float = 10.0
    rounding: int = 0
    differencing: bool = True
    max_questions_per_variable: int = 200
    max_membership_advantage: float = 0.1
    max_update_norm: float = 0.0
    epsilon: float = 0.0
    epsilon_per_question: float = 0.1
    delta: float = 0.0

    def stricter(self, other: DisclosurePolicy) -> DisclosurePolicy:
        """The policy that satisfies both."""
        return DisclosurePolicy(
            min_cell=max(self.min_cell, other.min_cell),
            min_holders=max(self.min_holders, other.min_holders),
            max_parameter_ratio=min(self.max_parameter_ratio, other.max_parameter_ratio),
            min_degrees_of_freedom=max(self.min_degrees_of_freedom, other.min_degrees_of_freedom),
            max_rounds=min(self.max_rounds, other.max_rounds),
            max_training_rounds=min(self.max_training_rounds, other.max_training_rounds),
            shared_risk_sets=self.shared_risk_sets and other.shared_risk_sets,
            holder_estimates=self.holder_estimates and other.holder_estimates,
            masks=self.masks or other.masks,
            dominance_persons=max(self.dominance_persons, other.dominance_persons),
            dominance_share=min(self.dominance_share, other.dominance_share),
            p_percent=max(self.p_percent, other.p_percent),
            rounding=max(self.rounding, other.rounding),
            differencing=self.differencing or other.differencing,
            max_questions_per_variable=int(
                _least_but_zero(self.max_questions_per_variable, other.max_questions_per_variable)
            ),
            max_membership_advantage=min(self.max_membership_advantage, other.max_membership_advantage),
            max_update_norm=_least_but_zero(self.max_update_norm, other.max_update_norm),
            epsilon=_least_but_zero(self.epsilon, other.epsilon),
            epsilon_per_question=_least_but_zero(self.epsilon_per_question, other.epsilon_per_question),
            # No delta is stricter than any, but says nothing where no noise is asked for.
            delta=min(
                one.delta for one in (self, other) if one.epsilon or not (self.epsilon or other.epsilon)
            ),
        )


def _least_but_zero(one: float, other: float) -> float:
    """The smaller limit, where 0 means that there is none."""
    return min(one, other) if one and other else max(one, other)
