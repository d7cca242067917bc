"""Mann-Whitney's rank test, with the shift between the samples (Hodges-Lehmann) and its interval."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from identity_masker.statistics.samples import Floats, probability, sample

# The rule of scipy's `method="auto"`: exact null distribution when one side is small and there are no ties.
SMALL_SIDE = 8
# Up to so many pairs all differences are sorted; above, order statistics are found by bisection.
PAIRS_AT_ONCE = 2_000_000


class MannWhitney(NamedTuple):
    """U of the first sample, two-sided p-value, Hodges-Lehmann shift a - b, and its confidence interval.

    `shift` is the median of all differences between a value of `a` and a value of `b`. `confidence` is what the
    interval attains: below what was asked for when the samples are so small that even the interval between the
    smallest and the largest difference, which is then given, does not reach it.
    """

    statistic: float
    p_value: float
    shift: float
    interval: tuple[float, float]
    confidence: float

    @property
    def pvalue(self) -> float:
        return self.p_value


def mann_whitney(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> MannWhitney:
    """Two-sided Mann-Whitney test of `a` against `b`.

    Exact for small samples without ties (the smaller of at most 8 values), else normal with correction for ties and
    continuity. The interval inverts the same test, with order statistics of the differences: no solver tolerance, so
    it scales with the data. Source: Hollander, Wolfe & Chicken, Nonparametric Statistical Methods (2014), ch. 4.
    """
    first, second = sample(a, "a"), sample(b, "b")
    confidence = probability(confidence, "the confidence")
    pooled = np.concatenate([first, second])
    if np.all(pooled == pooled[0]):
        # All tied: the ranks say nothing, and the shift is 0 as far as the data go.
        return MannWhitney(first.size * second.size / 2.0, 1.0, 0.0, (0.0, 0.0), confidence)
    _, tied = np.unique(pooled, return_counts=True)
    exact = min(first.size, second.size) <= SMALL_SIDE and tied.size == pooled.size
    result = stats.mannwhitneyu(first, second, method="exact" if exact else "asymptotic")
    sizes = (first.size, second.size)
    rank, attained = _exact_rank(*sizes, confidence) if exact else _normal_rank(*sizes, tied, confidence)
    differences, pairs = _Differences(first, second), first.size * second.size
    interval = differences.ordered(rank), differences.ordered(pairs + 1 - rank)
    middle = 0.5 * (differences.ordered((pairs + 1) // 2) + differences.ordered(pairs // 2 + 1))
    return MannWhitney(float(result.statistic), float(min(1.0, result.pvalue)), middle, interval, attained)


class _Differences:
    """Order statistics of all differences a - b, without holding them when they are many."""

    def __init__(self, a: Floats, b: Floats) -> None:
        self.a, self.b = np.sort(a), np.sort(b)
        self.all = np.sort((a[:, None] - b[None, :]).ravel()) if a.size * b.size <= PAIRS_AT_ONCE else None

    def ordered(self, rank: int) -> float:
        """The `rank`-th smallest difference, from 1."""
        if self.all is not None:
            return float(self.all[rank - 1])
        low, high = self.a[0] - self.b[-1], self.a[-1] - self.b[0]
        if self._at_most(low) >= rank:
            return float(low)
        # Invariant: fewer than `rank` differences are ≤ low, at least `rank` are ≤ high.
        while True:
            middle = 0.5 * (low + high)
            if not low < middle < high:
                return self._largest_at_most(high)
            if self._at_most(middle) >= rank:
                high = middle
            else:
                low = middle

    def _at_most(self, limit: float) -> int:
        return int(np.sum(self._positions(limit)))

    def _largest_at_most(self, limit: float) -> float:
        """The largest difference of at most `limit`: the exact value that bisection has closed in on."""
        position = self._positions(limit)
        some = position > 0
        return float(np.max(self.a[position[some] - 1] - self.b[some]))

    def _positions(self, limit: float) -> NDArray[np.intp]:
        """For each b: how many a have a - b ≤ limit (a ≤ b + limit up to rounding of the sum)."""
        return np.searchsorted(self.a, self.b + limit, side="right")


def _exact_rank(n: int, m: int, confidence: float) -> tuple[int, float]:
    """The largest rank r with P(U ≤ r - 1) ≤ alpha/2, at least 1, and the confidence that it attains."""
    cumulated = np.cumsum(_null_counts(n, m)) / math.comb(n + m, n)
    rank = max(1, int(np.searchsorted(cumulated, (1.0 - confidence) / 2.0 * (1.0 + 1e-12), side="right")))
    return rank, float(1.0 - 2.0 * cumulated[rank - 1])


def _normal_rank(n: int, m: int, tied: NDArray[np.intp], confidence: float) -> tuple[int, float]:
    total = n + m
    ties = float(np.sum(tied.astype(np.float64) ** 3 - tied)) / (total * (total - 1.0))
    deviation = math.sqrt(n * m / 12.0 * (total + 1.0 - ties))
    rank = math.floor(n * m / 2.0 - 0.5 - float(stats.norm.isf((1.0 - confidence) / 2.0)) * deviation) + 1
    if rank >= 1:
        return rank, confidence
    return 1, float(1.0 - 2.0 * stats.norm.sf((n * m / 2.0 - 0.5) / deviation))


def _null_counts(n: int, m: int) -> Floats:
    """How many orderings of n + m values give each U from 0 to n·m: coefficients of the Gaussian binomial."""
    coefficients = np.zeros(n * m + 1)
    coefficients[0] = 1.0
    for k in range(1, min(n, m) + 1):
        factor = max(n, m) + k
        # times (1 - q^factor), then divided by (1 - q^k)
        shifted = np.zeros_like(coefficients)
        shifted[factor:] = coefficients[: max(0, coefficients.size - factor)]
        coefficients = coefficients - shifted
        for start in range(k):
            coefficients[start::k] = np.cumsum(coefficients[start::k])
    return coefficients
