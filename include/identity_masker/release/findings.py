"""The judge's numbers in words: findings per metric, reasons, and what would change the verdict."""

from __future__ import annotations

import math

from identity_masker.release.capital import Capital
from identity_masker.release.checks import Traffic
from identity_masker.release.metric_state import ALL, MetricState, growth, looks_to
from identity_masker.release.policy import MetricRule, Policy
from identity_masker.release.verdict import Check, MetricFinding, MetricWord, SliceFinding, VerdictWord
from identity_masker.statistics.effect_interval import LARGEST, EffectInterval

LARGEST_LOG = 690.0


def metric(state: MetricState, policy: Policy, capital: Capital) -> MetricFinding:
    """All that is known about one metric."""
    stream = state.streams.get(ALL)
    effect = stream.interval(policy.alpha.roll_back) if stream else None
    canary, champion = stream.levels(recent=False) if stream else (None, None)
    shown = _natural(state.rule, effect) if effect else None
    return MetricFinding(
        name=state.name,
        kind=state.rule.kind,
        compares=compares(state.rule),
        state=_state(state, policy),
        e_value=_exp(state.log_worse),
        e_value_not_worse=_exp(state.log_not_worse),
        estimate=shown[0] if shown else None,
        interval=(shown[1], shown[2]) if shown else None,
        margin=state.rule.margin,
        canary=canary.value if canary else None,
        champion=champion.value if champion else None,
        weight=capital.weights.get(state.name, 0.0),
        slices=tuple(
            SliceFinding(name=name, e_value=_exp(each.log_worse))
            for name, each in sorted(state.streams.items())
            if name != ALL
        ),
    )


def compares(rule: MetricRule) -> str:
    """What `estimate` is the ratio or difference of."""
    if rule.kind == "share":
        return "canary / champion: share of " + ("misses" if rule.better == "higher" else "events")
    if rule.kind == "quantile":
        return f"canary / champion: {rule.quantile:g} quantile"
    return "canary / champion: mean" if rule.kind == "mean" else "canary - champion: mean"


def reasons(
    metrics: list[MetricState],
    policy: Policy,
    word: VerdictWord,
    checks: tuple[Check, ...],
    log_e_value: float,
    not_shown: list[MetricState],
) -> tuple[str, ...]:
    """Why the verdict is what it is, most important first."""
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.ok]
    if word == "roll_back":
        total = f"the canary is worse: evidence {_exp(log_e_value):.3g}, threshold {1.0 / policy.alpha.roll_back:g}"
        return (total, *_worse(metrics), *failed)
    if word == "promote":
        return tuple(
            f"{state.name}: not worse than the margin {state.rule.margin:g}, evidence {_exp(state.log_not_worse):.3g}"
            for state in metrics
            if state.rule.required
        )
    open_ = [
        f"{state.name}: not shown yet to be better than the margin {state.rule.margin:g}, evidence "
        f"{_exp(state.log_not_worse):.3g} of {1.0 / policy.alpha.promote:g}"
        for state in not_shown
    ]
    return (*failed, *open_)


def outlook(
    metrics: list[MetricState], policy: Policy, word: VerdictWord, log_e_value: float, traffic: Traffic
) -> tuple[str, ...]:
    """What would change the verdict."""
    roll_back = math.log(1.0 / policy.alpha.roll_back)
    if word == "roll_back":
        return ("nothing: evidence that has reached the threshold stays; a corrected version starts a new rollout",)
    now = (
        f"roll_back when the evidence of worse reaches {_exp(roll_back):g}; the most so far is {_exp(log_e_value):.3g}"
    )
    if word == "promote":
        return (now,)
    threshold = math.log(1.0 / policy.alpha.promote)
    open_ = [state for state in metrics if state.rule.required and state.log_not_worse < threshold]
    return (now, *(_needed(state, policy, traffic) for state in open_))


def _needed(state: MetricState, policy: Policy, traffic: Traffic) -> str:
    threshold = math.log(1.0 / policy.alpha.promote)
    looks = looks_to(threshold, state.log_not_worse, growth(state.history))
    if looks is None:
        return f"promote needs {state.name} better than the margin; the last intervals do not point there"
    requests = round(looks * traffic.canary / max(traffic.intervals, 1))
    return f"promote needs about {looks} more intervals like the last for {state.name} (≈ {requests} canary requests)"


def _worse(metrics: list[MetricState]) -> list[str]:
    """Metrics with evidence of worse, the strongest first."""
    lines = []
    for state in sorted(metrics, key=lambda each: (-each.log_worse, each.name)):
        if state.log_worse > 0.0:
            slice_ = state.worst_slice()
            where = f", most in slice {slice_[0]} ({_exp(slice_[1]):.3g})" if slice_ and slice_[1] > 0.0 else ""
            lines.append(f"{state.name}: evidence {_exp(state.log_worse):.3g}{where}")
    return lines


def _state(state: MetricState, policy: Policy) -> MetricWord:
    if ALL not in state.streams:
        return "missing"
    if state.log_worse >= math.log(1.0 / policy.alpha.roll_back):
        return "worse"
    return "not_worse" if state.log_not_worse >= math.log(1.0 / policy.alpha.promote) else "unclear"


def _natural(rule: MetricRule, effect: EffectInterval) -> tuple[float, float, float]:
    """Estimate and interval in the metric's own terms: ratio, or difference in its units."""
    if rule.kind == "difference":
        unit = rule.margin * (-1.0 if rule.better == "higher" else 1.0)
        low, high = sorted((effect.lower * unit, effect.upper * unit))
        return effect.estimate * unit, low, high
    sign = -1.0 if rule.kind == "mean" and rule.better == "higher" else 1.0
    low, high = sorted((sign * effect.lower, sign * effect.upper))
    return math.exp(sign * effect.estimate), math.exp(max(low, -LARGEST)), math.exp(min(high, LARGEST))


def _exp(log: float) -> float:
    return math.exp(min(log, LARGEST_LOG))
