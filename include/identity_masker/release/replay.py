"""The verdict on a paired shadow replay: champion and candidate on the same pictures, before any user is exposed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.release.evidence import Pairs, ReplayEvidence
from identity_masker.release.policy import Policy, Replay, ReplayMetric
from identity_masker.release.verdict import Check, MetricFinding, MetricWord, Verdict, VerdictWord
from identity_masker.statistics import paired

Floats = NDArray[np.float64]
Columns = tuple[Floats, Floats]
LARGEST_LOG = 690.0


def judge_replay(policy: Policy, evidence: ReplayEvidence, policy_digest: str, evidence_digest: str) -> Verdict:
    """The verdict on all pairs so far; looks are pairs.

    A version that gave no answer for a picture has the worst value there. Raises `BadInputError` for a metric that
    the policy's `replay` does not name and for values out of its range.
    """
    rule = _rule(policy, evidence)
    columns = {name: _columns(name, rule.metrics[name], pairs) for name, pairs in sorted(evidence.pairs.items())}
    columns = {name: pair for name, pair in columns.items() if pair[0].size}
    looks = min((pair[0].size for pair in columns.values()), default=0)
    weights = {name: metric.weight for name, metric in sorted(rule.metrics.items())}
    largest, at = _largest(columns, weights, looks)
    found = tuple(
        _finding(name, rule.metrics[name], columns.get(name), policy, weights[name] / sum(weights.values()))
        for name in weights
    )
    done = _checks(rule, found, looks)
    word = _word(policy, found, done, largest)
    return Verdict(
        verdict=word,
        reasons=_reasons(word, policy, found, done, largest, at),
        metrics=found,
        looks=looks,
        seconds=0.0,
        e_value=math.exp(min(largest, LARGEST_LOG)),
        threshold=1.0 / policy.alpha.roll_back,
        checks=done,
        outlook=_outlook(word, looks, rule),
        ask=word == "hold" and looks >= rule.pairs,
        policy=policy_digest,
        evidence=evidence_digest,
    )


def _word(policy: Policy, found: tuple[MetricFinding, ...], done: tuple[Check, ...], largest: float) -> VerdictWord:
    if largest >= math.log(1.0 / policy.alpha.roll_back):
        return "roll_back"
    shown = all(finding.state == "not_worse" for finding in found)
    return "promote" if shown and all(check.ok for check in done) else "hold"


def _checks(rule: Replay, found: tuple[MetricFinding, ...], looks: int) -> tuple[Check, ...]:
    missing = [finding.name for finding in found if finding.state == "missing"]
    enough = f"{looks} pairs (at least {rule.minimum_pairs})"
    return (
        Check(name="data", ok=not missing, detail=f"missing: {', '.join(missing)}" if missing else "all metrics"),
        Check(name="minimum", ok=looks >= rule.minimum_pairs, detail=enough),
    )


def _rule(policy: Policy, evidence: ReplayEvidence) -> Replay:
    if policy.replay is None:
        raise BadInputError("the policy has no section `replay`", fix="add one, or give evidence with `intervals`")
    unknown = sorted(set(evidence.pairs) - set(policy.replay.metrics))
    if unknown:
        raise BadInputError(
            f"unknown metric {', '.join(unknown)} in the replay",
            allowed="one of " + ", ".join(sorted(policy.replay.metrics)),
        )
    return policy.replay


def _columns(name: str, rule: ReplayMetric, pairs: Pairs) -> Columns:
    """Values of champion and candidate scaled to [0, 1], 1 the worst."""
    worst = rule.high if rule.better == "lower" else rule.low
    columns = []
    for who, values in (("champion", pairs.champion), ("candidate", pairs.candidate)):
        column = np.array([worst if value is None else value for value in values], dtype=np.float64)
        if np.any((column < rule.low) | (column > rule.high)):
            raise BadInputError(
                f"values of {name} ({who}) are out of range",
                got=f"{column.min():g} to {column.max():g}",
                allowed=f"{rule.low:g} to {rule.high:g}",
                fix="set low and high of the metric in the policy",
            )
        scaled = (column - rule.low) / (rule.high - rule.low)
        columns.append(scaled if rule.better == "lower" else 1.0 - scaled)
    return columns[0], columns[1]


def _largest(columns: dict[str, Columns], weights: dict[str, float], looks: int) -> tuple[float, int]:
    """The largest log evidence of all metrics together, and the pair at which it was reached."""
    if looks == 0:
        return 0.0, 0
    total = sum(weights.values())
    paths = [math.log(weights[name] / total) + paired.log_worse(*pair)[:looks] for name, pair in columns.items()]
    # What is on a metric without data stays where it is, at 1.
    idle = math.fsum(weight for name, weight in weights.items() if name not in columns) / total
    if idle > 0.0:
        paths.append(np.full(looks, math.log(idle)))
    path = np.logaddexp.reduce(np.array(paths), axis=0)
    at = int(np.argmax(path))
    return max(float(path[at]), 0.0), at + 1


def _finding(name: str, rule: ReplayMetric, columns: Columns | None, policy: Policy, weight: float) -> MetricFinding:
    finding = MetricFinding(
        name=name,
        kind="paired",
        compares="candidate - champion: mean over the same pictures",
        state="missing",
        e_value=1.0,
        e_value_not_worse=1.0,
        estimate=None,
        interval=None,
        margin=rule.margin,
        canary=None,
        champion=None,
        weight=weight,
    )
    if columns is None:
        return finding
    log_worse = float(np.max(paired.log_worse(*columns)))
    log_not_worse = float(paired.log_not_worse(*columns, rule.margin)[-1])
    width, sign = rule.high - rule.low, 1.0 if rule.better == "lower" else -1.0
    mean, low, high = (sign * width * value for value in paired.difference_interval(*columns, policy.alpha.roll_back))
    update = {
        "state": _state(log_worse, log_not_worse, policy),
        "e_value": math.exp(min(log_worse, LARGEST_LOG)),
        "e_value_not_worse": math.exp(min(log_not_worse, LARGEST_LOG)),
        "estimate": mean,
        "interval": (min(low, high), max(low, high)),
        "champion": _natural(float(np.mean(columns[0])), rule),
        "canary": _natural(float(np.mean(columns[1])), rule),
    }
    return finding.model_copy(update=update)


def _natural(scaled: float, rule: ReplayMetric) -> float:
    value = scaled if rule.better == "lower" else 1.0 - scaled
    return rule.low + value * (rule.high - rule.low)


def _state(log_worse: float, log_not_worse: float, policy: Policy) -> MetricWord:
    if log_worse >= math.log(1.0 / policy.alpha.roll_back):
        return "worse"
    return "not_worse" if log_not_worse >= math.log(1.0 / policy.alpha.promote) else "unclear"


def _reasons(
    word: VerdictWord,
    policy: Policy,
    found: tuple[MetricFinding, ...],
    done: tuple[Check, ...],
    largest: float,
    at: int,
) -> tuple[str, ...]:
    if word == "roll_back":
        evidence = f"evidence {math.exp(min(largest, LARGEST_LOG)):.3g}, threshold {1.0 / policy.alpha.roll_back:g}"
        return (f"the candidate is worse on the same pictures: {evidence}, reached after {at} pairs",)
    needed = 1.0 / policy.alpha.promote
    values = {finding.name: f"evidence {finding.e_value_not_worse:.3g} of {needed:g}" for finding in found}
    if word == "promote":
        return tuple(f"{name}: not worse than the margin, {value}" for name, value in values.items())
    failed = [f"{check.name}: {check.detail}" for check in done if not check.ok]
    open_ = [finding.name for finding in found if finding.state not in ("not_worse", "missing")]
    return (*failed, *(f"{name}: not shown yet to be better than the margin, {values[name]}" for name in open_))


def _outlook(word: VerdictWord, looks: int, rule: Replay) -> tuple[str, ...]:
    if word != "hold":
        return ("nothing in this replay",)
    return (f"more pairs: {looks} of at most {rule.pairs} so far",)
