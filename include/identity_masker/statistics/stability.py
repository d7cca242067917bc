"""Do two lists of counts, over bins or categories, come from the same shares?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.distances import Estimate, folded_bias
from identity_masker.statistics.quantile_sketch import SortedSample
from identity_masker.statistics.samples import Floats, counts, probability
from identity_masker.statistics.two_sample import psi_of_shares

SURPRISING = 6.0
"""Times `expected`. A bin in which the smaller side has so many is not pooled, however rare it is on both together:
chance brings 30 where 5 are expected once in 10¹³ windows."""


class Homogeneity(NamedTuple):
    """Pearson's chi-square statistic of a table of two rows, its degrees of freedom and p-value."""

    statistic: float
    degrees: int
    p_value: float


def quantile_edges(reference: SortedSample, bins: int) -> Floats:
    """Inner edges of at most `bins` bins with equal shares of `reference`; ties make fewer.

    A value that many are tied at, at the lower end, gets a bin of its own; a constant has the bins below, at, above.
    """
    if bins < 2:
        raise BadInputError("too few bins", got=bins, allowed="at least 2")
    low, high = float(reference.values[0]), float(reference.values[-1])
    if low == high:
        return np.array([low, np.nextafter(low, np.inf)])
    edges = reference.quantiles(np.linspace(0.0, 1.0, bins + 1)[1:-1])
    return np.unique(np.where(edges <= low, np.nextafter(low, np.inf), edges))


def stability_index(before: ArrayLike, now: ArrayLike) -> float:
    """Population stability index of two lists of counts over the same bins.

    Half an observation is added to every bin when one of them is empty on either side.
    """
    first, second = _pair(before, now)
    if np.any(first == 0.0) or np.any(second == 0.0):
        first, second = first + 0.5, second + 0.5
    return psi_of_shares(first / first.sum(), second / second.sum())


def homogeneity(before: ArrayLike, now: ArrayLike, *, expected: float = 5.0) -> Homogeneity:
    """Chi-square test of equal shares, for counts over the same bins.

    Bins where the smaller side expects fewer than `expected` are pooled into one. To second order the statistic is
    the stability index over (1/n + 1/m), but its tail is the chi-square's also at a hundred observations, where the
    index passes the level of 0.0001 ten times too often (`docs/monitoring.md`).
    """
    first, second = _pair(before, now)
    first, second = _pooled(first, second, expected)
    if first.size < 2:
        return Homogeneity(0.0, 0, 1.0)
    n, m = first.sum(), second.sum()
    total = first + second
    # (a/n - b/m)² over its variance, summed over bins: the same as Σ (observed - expected)² / expected.
    statistic = float(np.sum((first / n - second / m) ** 2 / total) * n * m)
    return Homogeneity(statistic, first.size - 1, float(special.chdtrc(first.size - 1, statistic)))


def total_variation(before: ArrayLike, now: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Half the sum of the differences of the shares, less what chance alone adds to it, with an interval.

    0: the same shares; 1: no category in common. The interval is by the delta method, its upper end keeps the bias.
    """
    first, second = _pair(before, now)
    n, m = first.sum(), second.sum()
    some = (first + second) > 0
    p, q = first[some] / n, second[some] / m
    pooled = (first + second)[some] / (n + m)
    deviation = np.sqrt(np.maximum(pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m), 1e-300))
    raw = 0.5 * float(np.sum(np.abs(q - p)))
    bias = 0.5 * float(np.sum(folded_bias(q - p, deviation)))
    signs = 0.5 * np.sign(q - p)
    error = math.sqrt(sum(max(0.0, float(s @ signs**2 - (s @ signs) ** 2)) / size for s, size in ((p, n), (q, m))))
    half = float(special.ndtri(0.5 + probability(confidence, "the confidence") / 2.0)) * error
    value = max(0.0, raw - bias)
    return Estimate(value, max(0.0, raw - bias - half), min(1.0, raw + half))


def share_p_value(before: float, before_total: float, now: float, now_total: float) -> float:
    """Two-sided exact p-value of equal shares: Fisher's test, twice its smaller side."""
    for part, total in ((before, before_total), (now, now_total)):
        if not (0 <= part <= total and total > 0):
            raise BadInputError("impossible counts", got=f"{part:g} of {total:g}", allowed="0 ≤ part ≤ total, > 0")
    whole, marked = before_total + now_total, before + now
    if marked in (0, whole):
        return 1.0
    least = min(
        float(stats.hypergeom.cdf(now, whole, marked, now_total)),
        float(stats.hypergeom.sf(now - 1, whole, marked, now_total)),
    )
    return min(1.0, 2.0 * least)


def _pair(before: ArrayLike, now: ArrayLike) -> tuple[Floats, Floats]:
    first, second = counts(before, "the counts before"), counts(now, "the counts now")
    if first.shape != second.shape or first.ndim != 1 or not (first.sum() > 0 and second.sum() > 0):
        raise BadInputError(
            "the counts are not comparable",
            got=f"{first.shape} with sum {first.sum():g} and {second.shape} with sum {second.sum():g}",
            allowed="two lists of one length, neither all zero",
        )
    return first, second


def _pooled(first: Floats, second: Floats, expected: float) -> tuple[Floats, Floats]:
    """The table with its rare bins in one; that one joins the smallest of the rest when it is still rare.

    The choice looks at the sums of both sides only, so it does not favour any outcome of the test. The exception is
    `SURPRISING` bins, which without a difference there are none of: a category that vanished from the far larger side.
    """
    total = first + second
    needed = expected * total.sum() / min(first.sum(), second.sum())
    smaller = first if first.sum() <= second.sum() else second
    rare = (total < needed) & (smaller < SURPRISING * expected)
    if not np.any(rare):
        return first, second
    left = np.array([first[rare].sum(), second[rare].sum()])
    first, second = first[~rare], second[~rare]
    if left.sum() >= needed or first.size == 0:
        return np.append(first, left[0]), np.append(second, left[1])
    smallest = int(np.argmin(first + second))
    first[smallest] += left[0]
    second[smallest] += left[1]
    return first, second
