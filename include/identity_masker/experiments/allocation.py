"""Dynamic weights: top-two Thompson sampling on the first goal, with a floor and a veto by guardrails.

A pure function of the evidence; `steering` writes what it proposes.
"""

from __future__ import annotations

from collections.abc import Sequence

from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evidence import Evidence
from identity_masker.experiments.result import Allocation
from identity_masker.statistics import bandits


def propose(experiment: Experiment, evidence: Evidence, vetoed: Sequence[str], *, healthy: bool) -> Allocation | None:
    """The weights that the bandit asks for; None for experiments without one.

    Weights stay as they are while the experiment is unhealthy, an arm has too few units, or every treatment but the
    control is vetoed. The probabilities of being best are exact and can be computed again from the evidence.
    """
    rule = experiment.bandit
    if rule is None:
        return None
    names = tuple(experiment.variants)
    now = evidence.arms[-1].weights if evidence.arms else tuple(v.weight for v in experiment.variants.values())
    arms = evidence.goal_arms
    still = Allocation(weights=dict(zip(names, now, strict=True)), changed=False, reason="", p_best={}, regret={})
    if not healthy:
        return still.model_copy(update={"reason": "the experiment is not healthy"})
    if len(arms) != len(names) or any(arm.units < rule.minimum_units or not arm.standard_error for arm in arms):
        return still.model_copy(
            update={"reason": f"an arm has fewer than {rule.minimum_units} units, or does not vary"}
        )
    lower = experiment.goals[0].lower_is_better
    means, errors = [arm.value for arm in arms], [arm.standard_error for arm in arms]
    shut = [at for at, name in enumerate(names) if name in vetoed]
    weights = bandits.allocate(means, errors, lower_is_better=lower, beta=rule.beta, floor=rule.floor, vetoed=shut)
    best = bandits.p_best(means, errors, lower_is_better=lower)
    regret = bandits.expected_regret(means, errors, lower_is_better=lower)
    return Allocation(
        weights={name: float(weight) for name, weight in zip(names, weights, strict=True)},
        changed=True,
        reason="top-two Thompson sampling" + (f"; vetoed: {', '.join(vetoed)}" if vetoed else ""),
        p_best={name: float(p) for name, p in zip(names, best, strict=True)},
        regret={name: float(loss) for name, loss in zip(names, regret, strict=True)},
    )
