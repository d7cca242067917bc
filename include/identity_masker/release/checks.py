"""What has to be in order before anything is promoted, whatever the tests say."""

from __future__ import annotations

import math
from collections.abc import Iterable

from identity_masker.release.evidence import ArmName, Interval
from identity_masker.release.metric_state import MetricState
from identity_masker.release.policy import Policy, SampleRatio
from identity_masker.release.verdict import Check

ARMS: tuple[ArmName, ArmName] = ("champion", "canary")


class Traffic:
    """Requests of both arms, and whether the split is the asked one."""

    def __init__(self) -> None:
        self.intervals, self.canary, self.champion, self.seconds = 0, 0, 0, 0.0
        self._rows: list[tuple[int, int]] = []
        self._shares: list[tuple[float, float]] = []
        self.last: Interval | None = None

    def update(self, interval: Interval) -> None:
        self.last = interval
        self.seconds += interval.seconds
        canary, champion = (interval.arms.get(name) for name in ("canary", "champion"))
        if canary is None or champion is None:
            return
        if canary.requests and champion.requests:
            self.intervals += 1
            self.canary += canary.requests
            self.champion += champion.requests
        if interval.share is not None and 0.0 < interval.share < 1.0:
            self._rows.append((champion.requests, canary.requests))
            self._shares.append((1.0 - interval.share, interval.share))

    def split(self, rule: SampleRatio) -> Check:
        """The sequential sample-ratio test over all intervals that say what share was asked."""
        name = "sample_ratio"
        total = sum(map(sum, self._rows))
        if total == 0:
            return Check(name=name, ok=True, detail="not checked: no interval says what share was asked (`share`)")
        from identity_masker.statistics import sample_ratio  # loads scipy.stats, which takes a second

        achieved = sum(row[1] for row in self._rows) / total
        asked = sum(sum(row) * share[1] for row, share in zip(self._rows, self._shares, strict=True)) / total
        e_value = sample_ratio.sequential(self._rows, self._shares)
        wrong = e_value >= 1.0 / rule.alpha and abs(achieved - asked) > rule.tolerance
        detail = f"canary got {achieved:.2%} of the traffic, asked {asked:.2%}, e-value {e_value:.3g}"
        return Check(name=name, ok=not wrong, detail=detail)


def checks(policy: Policy, traffic: Traffic, metrics: Iterable[MetricState]) -> tuple[Check, ...]:
    """All conditions of a promotion, in a fixed order."""
    states = list(metrics)
    return (
        _data(traffic, states),
        _enough(policy, traffic),
        traffic.split(policy.sample_ratio),
        *(_floor(state) for state in states if state.rule.floor is not None),
        *(_slices(policy, state) for state in states),
    )


def _data(traffic: Traffic, states: list[MetricState]) -> Check:
    """Missing data: of an arm, or of a required metric, in the last interval."""
    missing: list[str] = []
    last = traffic.last
    if last is None:
        missing.append("no interval yet")
    elif last.share != 1.0:  # with all traffic on the canary there is nothing left to compare with
        missing += [f"no traffic of the {name}" for name in ARMS if last.arm(name) is None]
        if not missing:
            missing += [
                f"no {state.key} for {state.name}" for state in states if state.rule.required and not state.present
            ]
    never = [state.name for state in states if state.rule.required and not state.streams and not missing]
    missing += [f"{name} was never seen" for name in never]
    detail = "; ".join(missing) if missing else "both arms and all required metrics in the last interval"
    return Check(name="data", ok=not missing, detail=detail)


def _enough(policy: Policy, traffic: Traffic) -> Check:
    minimum = policy.minimum
    enough = traffic.intervals >= minimum.intervals and min(traffic.canary, traffic.champion) >= minimum.requests
    detail = (
        f"{traffic.intervals} intervals (at least {minimum.intervals}), {traffic.canary} canary and "
        f"{traffic.champion} champion requests (at least {minimum.requests} each)"
    )
    return Check(name="minimum", ok=enough, detail=detail)


def _floor(state: MetricState) -> Check:
    canary_beyond, champion_beyond, canary, champion = state.beyond_floor()
    levels = " and ".join(
        f"{name} {level.value:.4g}" for name, level in (("canary", canary), ("champion", champion)) if level is not None
    )
    who = {
        (True, True): "both arms burn",
        (True, False): "the canary is beyond it",
        (False, True): "the champion is beyond it",
    }
    verdict = who.get((canary_beyond, champion_beyond), "kept")
    return Check(
        name=f"floor:{state.name}",
        ok=not (canary_beyond or champion_beyond),
        detail=f"{verdict}: {levels or 'no data'}, floor {state.rule.floor:g}",
    )


def _slices(policy: Policy, state: MetricState) -> Check:
    """A metric, or one slice of it, that by itself would be enough to roll back."""
    threshold = math.log(1.0 / policy.alpha.roll_back)
    worst = state.worst_slice()
    if worst is not None and worst[1] >= threshold:
        return Check(
            name=f"worse:{state.name}",
            ok=False,
            detail=f"slice {worst[0]} looks worse, e-value {math.exp(min(worst[1], 700.0)):.3g}",
        )
    bad = state.log_worse >= threshold
    return Check(
        name=f"worse:{state.name}",
        ok=not bad,
        detail="looks worse by itself" if bad else "no evidence of worse by itself",
    )
