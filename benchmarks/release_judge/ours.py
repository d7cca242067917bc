"""The judge's own tests on many rollouts at once, with the rules of include/config/release/canary.yaml."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from benchmarks.release_judge.worlds import TICKS, Counts, Floats
from numpy.typing import NDArray

from identity_masker.release.policy import MetricRule, Policy, load_policy
from identity_masker.settings import PROJECT
from identity_masker.statistics import histograms
from identity_masker.statistics.arm_noise import noise_grid
from identity_masker.statistics.comparison import Comparison

NEVER = np.inf


class Paths(NamedTuple):
    """Log e-values after each look, shape (looks, runs)."""

    worse: Floats
    not_worse: Floats


class Outcome(NamedTuple):
    """Looks until each verdict first stands, infinite without one; shape (runs,)."""

    roll_back: Floats
    promote: Floats


def policy() -> Policy:
    return load_policy(PROJECT / "include" / "config" / "release" / "canary.yaml")


def rule(name: str) -> MetricRule:
    return policy().metrics[name]


def paths(counts: Counts, rule: MetricRule, elapsed: float, gain: Floats | None = None) -> Paths:
    """e-values of the comparison behind `rule` after each look; `elapsed` in the noise's own time."""
    runs, looks = counts.canary.shape
    comparison = Comparison(runs, rule.scaled_margin, noise_grid(rule.noise.sd, rule.noise.correlation))
    worse, not_worse = np.empty((looks, runs)), np.empty((looks, runs))
    for look in range(looks):
        columns = [part[:, look] for part in counts]
        slope = None if gain is None else gain[:, look]
        comparison.counts(columns[0], columns[1], columns[2], columns[3], slope, elapsed)
        worse[look], not_worse[look] = comparison.log_worse, comparison.log_not_worse
    return Paths(worse, not_worse)


def outcome(found: Paths, weight: float = 1.0, alpha: float = 0.05) -> Outcome:
    """When the verdicts stand for a metric that has `weight` of the capital, the rest lying idle."""
    total = np.logaddexp(np.log(weight) + found.worse, np.log(1.0 - weight) if weight < 1.0 else -np.inf)
    return Outcome(_first(total >= np.log(1.0 / alpha)), _first(found.not_worse >= np.log(1.0 / alpha)))


def errors(counts: Counts, weight: float = 1.0) -> Outcome:
    """Verdicts on the error share alone, ten looks an interval; times in intervals."""
    found = outcome(paths(counts, rule("errors"), 1.0 / TICKS), weight)
    return Outcome(found.roll_back / TICKS, found.promote / TICKS)


def tail_counts(canary: Floats, champion: Floats, bounds: Floats, quantile: float) -> tuple[Counts, Floats]:
    """Slow requests of each arm and the slope of the tail, from bucket counts of shape (runs, looks, buckets)."""
    both = canary + champion
    share = histograms.above(both) / both.sum(axis=-1, keepdims=True)
    at = _nearest(share, quantile)
    pooled = np.cumsum(both, axis=1)
    tail = histograms.above(pooled)
    middle = _nearest(tail / pooled.sum(axis=-1, keepdims=True), quantile)
    low, high = np.maximum(middle - 1, 0), np.minimum(middle + 1, bounds.size - 1)
    high = np.where(_take(tail, high) > 0.0, high, middle)
    steep = np.log(np.maximum(_take(tail, low), 0.5) / np.maximum(_take(tail, high), 0.5)) / np.log(
        bounds[high] / bounds[low]
    )
    slow = [_take(histograms.above(arm), at) for arm in (canary, champion)]
    counts = Counts(slow[0], slow[1], canary.sum(axis=-1), champion.sum(axis=-1))
    return counts, np.clip(steep, histograms.FLATTEST, histograms.STEEPEST)


def _nearest(share: Floats, quantile: float) -> NDArray[np.intp]:
    distance = np.abs(np.log(np.maximum(share, 1e-12)) - np.log1p(-quantile))
    return np.argmin(distance, axis=-1)


def _take(values: Floats, at: NDArray[np.intp]) -> Floats:
    result: Floats = np.take_along_axis(values, at[..., None], axis=-1)[..., 0]
    return result


def _first(hit: NDArray[np.bool_]) -> Floats:
    return np.where(hit.any(axis=0), hit.argmax(axis=0) + 1.0, NEVER)
