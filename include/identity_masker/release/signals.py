"""From measures of both arms to what the tests read, one metric (or slice of a metric) at a time.

Shares, quantiles and averages all become counts of events in two arms:

- a share: its events (or its misses, when higher is better);
- a quantile: requests above the bucket bound nearest to it, chosen from both arms together so that it favours none.
  The slope of the tail turns ratios of such counts into ratios of the quantile;
- an average of values from zero on: the sum divided by variance / mean, which makes its variance that of a count.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.release.evidence import Events, Histogram, Measure, Moments
from identity_masker.release.policy import MetricRule
from identity_masker.statistics import histograms
from identity_masker.statistics.effect_interval import CountLook, ShiftLook

Floats = NDArray[np.float64]
Form = TypeVar("Form", Events, Moments, Histogram)

# Averages say nothing about their own variance before so many values were seen in both arms together.
FEWEST_VALUES = 30
# A variance of zero is rounding, not certainty: at least this share of the mean is taken as deviation.
LEAST_DEVIATION = 0.01


class Level(NamedTuple):
    """An arm's level of a metric over some intervals; `spread` is its standard error, 0 where none is known."""

    value: float
    spread: float
    n: int


class Signal(Protocol):
    """Turns each interval's measures of one metric into a look, and knows the level of an arm."""

    def look(self, canary: Measure, champion: Measure, elapsed: float) -> CountLook | ShiftLook | None: ...

    def level(self, measures: list[Measure]) -> Level | None: ...


def signal_for(name: str, rule: MetricRule) -> Signal:
    """The signal of the kind that the rule asks for."""
    if rule.kind == "share":
        return ShareSignal(name, rule)
    if rule.kind == "quantile":
        return QuantileSignal(name, rule)
    return MeanSignal(name, rule) if rule.kind == "mean" else DifferenceSignal(name, rule)


class ShareSignal:
    def __init__(self, name: str, rule: MetricRule) -> None:
        self.name, self._misses = name, rule.better == "higher"

    def look(self, canary: Measure, champion: Measure, elapsed: float) -> CountLook | None:
        second, first = self._bad(canary), self._bad(champion)
        if second.n == 0 or first.n == 0:
            return None
        return CountLook(second.events, first.events, second.n, first.n, elapsed=elapsed)

    def level(self, measures: list[Measure]) -> Level | None:
        parts = [_as(Events, measure, self.name, "share") for measure in measures]
        n = sum(part.n for part in parts)
        if n == 0:
            return None
        share = sum(part.events for part in parts) / n
        return Level(share, float(np.sqrt(share * (1.0 - share) / n)), n)

    def _bad(self, measure: Measure) -> Events:
        part = _as(Events, measure, self.name, "share")
        return Events(n=part.n, events=part.n - part.events) if self._misses else part


class QuantileSignal:
    def __init__(self, name: str, rule: MetricRule) -> None:
        self.name, self._quantile = name, rule.quantile
        self._pooled: Floats | None = None

    def look(self, canary: Measure, champion: Measure, elapsed: float) -> CountLook | None:
        second = _as(Histogram, canary, self.name, "quantile")
        first = _as(Histogram, champion, self.name, "quantile")
        both = second.buckets + first.buckets
        if second.buckets.sum() == 0 or first.buckets.sum() == 0:
            return None
        self._pooled = both if self._pooled is None else self._pooled + both
        at = histograms.tail_bound(both, self._quantile)
        slope = histograms.tail_slope(self._pooled, first.upper, histograms.tail_bound(self._pooled, self._quantile))
        return CountLook(
            float(histograms.above(second.buckets)[at]),
            float(histograms.above(first.buckets)[at]),
            float(second.buckets.sum()),
            float(first.buckets.sum()),
            slope,
            elapsed,
        )

    def level(self, measures: list[Measure]) -> Level | None:
        parts = [_as(Histogram, measure, self.name, "quantile") for measure in measures]
        counts = np.sum([part.buckets for part in parts], axis=0) if parts else np.zeros(1)
        found = histograms.quantile(counts, parts[0].upper, self._quantile) if parts else None
        return Level(found.value, 0.0, int(counts.sum())) if found else None


class _Values:
    """Running number, sum and sum of squares of the values of both arms, and what is not used yet."""

    def __init__(self) -> None:
        self.n, self.total, self.squares = 0.0, 0.0, 0.0
        self.waiting: list[tuple[Moments, Moments]] = []

    def add(self, canary: Moments, champion: Moments) -> bool:
        """Take in one interval; True when there is enough to go on."""
        self.waiting.append((canary, champion))
        for part in (canary, champion):
            mean, variance = part.mean or 0.0, part.var or 0.0
            self.n += part.n
            self.total += part.n * mean
            self.squares += part.n * (variance + mean**2)
        ready = all(sum(pair[arm].n for pair in self.waiting) > 0 for arm in (0, 1))
        return ready and self.n >= FEWEST_VALUES

    def take(self) -> tuple[tuple[int, float], tuple[int, float]]:
        """(n, sum) of canary and champion over what was waiting."""
        pairs, self.waiting = self.waiting, []
        canary, champion = ([pair[arm] for pair in pairs] for arm in (0, 1))
        return _sum(canary), _sum(champion)

    @property
    def mean(self) -> float:
        return self.total / self.n

    @property
    def variance(self) -> float:
        return max(self.squares / self.n - self.mean**2, (LEAST_DEVIATION * self.mean) ** 2)


class MeanSignal:
    def __init__(self, name: str, rule: MetricRule) -> None:
        self.name, self._higher, self._values = name, rule.better == "higher", _Values()

    def look(self, canary: Measure, champion: Measure, elapsed: float) -> CountLook | None:
        second, first = (_not_negative(_as(Moments, measure, self.name, "mean")) for measure in (canary, champion))
        if not self._values.add(second, first):
            return None
        (n, total), (n_first, total_first) = self._values.take()
        if self._values.mean <= 0.0:
            return CountLook(0.0, 0.0, n, n_first, elapsed=elapsed)
        scale = self._values.mean / self._values.variance
        look = CountLook(scale * total, scale * total_first, n, n_first, elapsed=elapsed)
        if self._higher:  # the champion having more is what is bad: the arms change places
            return CountLook(look.champion, look.canary, n_first, n, elapsed=elapsed)
        return look

    def level(self, measures: list[Measure]) -> Level | None:
        return _mean_level([_as(Moments, measure, self.name, "mean") for measure in measures])


class DifferenceSignal:
    def __init__(self, name: str, rule: MetricRule) -> None:
        self.name, self._unit = name, rule.margin * (-1.0 if rule.better == "higher" else 1.0)
        self._values = _Values()

    def look(self, canary: Measure, champion: Measure, elapsed: float) -> ShiftLook | None:
        second, first = (_as(Moments, measure, self.name, "difference") for measure in (canary, champion))
        if not self._values.add(second, first):
            return None
        (n, total), (n_first, total_first) = self._values.take()
        difference = (total / n - total_first / n_first) / self._unit
        variance = self._values.variance * (1.0 / n + 1.0 / n_first) / self._unit**2
        return ShiftLook(difference, max(variance, 1e-12), elapsed)

    def level(self, measures: list[Measure]) -> Level | None:
        return _mean_level([_as(Moments, measure, self.name, "difference") for measure in measures])


def _as(wanted: type[Form], measure: Measure, name: str, kind: str) -> Form:
    if isinstance(measure, wanted):
        return measure
    fields = {"Events": "n and events", "Moments": "n, mean and var", "Histogram": "bounds and counts"}
    raise BadInputError(
        f"the evidence for {name} has another form than the policy's kind {kind} needs",
        got=fields[type(measure).__name__],
        allowed=fields[wanted.__name__],
    )


def _not_negative(part: Moments) -> Moments:
    """Values of kind `mean` start at zero: an average below it counts as zero."""
    return part if part.mean is None or part.mean >= 0.0 else part.model_copy(update={"mean": 0.0})


def _sum(parts: list[Moments]) -> tuple[int, float]:
    return sum(part.n for part in parts), sum(part.n * (part.mean or 0.0) for part in parts)


def _mean_level(parts: list[Moments]) -> Level | None:
    n, total = _sum(parts)
    if n == 0:
        return None
    mean = total / n
    squares = sum(part.n * ((part.var or 0.0) + (part.mean or 0.0) ** 2) for part in parts)
    return Level(mean, float(np.sqrt(max(squares / n - mean**2, 0.0) / n)), n)
