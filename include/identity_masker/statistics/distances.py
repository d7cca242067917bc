"""How far apart are two distribution functions? One merge of two sorted samples answers for all distances at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.quantile_sketch import SortedSample
from identity_masker.statistics.samples import Floats, probability

# Above the first effective size the limit with its correction agrees with the finite distribution to three digits,
# above the second it does so in the body, for p-values above the third.
LARGE, SMALL, BODY = 5_000, 50, 0.1
# The interval is computed on so many places, equally many observations apart.
PLACES = 1_000

Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]


class Estimate(NamedTuple):
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float

    def over(self, scale: float) -> Estimate:
        """The same in units of `scale`."""
        return Estimate(self.value / scale, self.low / scale, self.high / scale)


class Distances(NamedTuple):
    """Kolmogorov-Smirnov distance, Wasserstein distance, and the latter without its bias.

    `transport` is the Wasserstein distance less what chance alone adds to it, with an interval; all three in the
    units of the data. `rank_mean`: P(reference < current) + P(equal)/2, one half without drift.
    """

    ks: float
    wasserstein: float
    transport: Estimate
    rank_mean: float
    sizes: tuple[float, float]

    @property
    def ks_p_value(self) -> float:
        """The p-value of `kolmogorov_p_value`."""
        return kolmogorov_p_value(self.ks, *self.sizes)


@dataclass(frozen=True)
class _Merge:
    """Both samples in one order: gaps between neighbours, |F - G| in each gap, and some of the places."""

    places: Floats
    gaps: Floats
    apart: Floats
    tied: bool
    rank_mean: float

    @classmethod
    def of(cls, reference: SortedSample, current: SortedSample) -> Self:
        pooled = np.concatenate([reference.values, current.values])
        # Timsort finds the two runs and merges them: linear. Equal values: the reference's come first.
        order = np.argsort(pooled, kind="stable")
        merged = pooled[order]
        places = merged[np.linspace(0, merged.size - 1, min(PLACES, merged.size)).astype(np.intp)]
        # Fresh memory costs as much as the arithmetic on it: `pooled` and `merged` are written over.
        gaps = np.subtract(merged[1:], merged[:-1], out=pooled[:-1])
        tied = not gaps.all()
        plain = reference.weights is None and current.weights is None
        theirs = order >= reference.values.size
        if plain:
            apart = _plain_difference(reference.count, current.count, theirs, out=merged)[:-1]
        else:
            apart = _weighted_difference(reference, current, order)[:-1]
        if plain and not tied:
            below = float(np.flatnonzero(theirs).sum()) - 0.5 * current.count * (current.count - 1.0)
            rank_mean = below / (reference.count * current.count)
        else:
            rank_mean = _rank_mean(reference, current)
        return cls(places, gaps, np.abs(apart, out=apart), tied, rank_mean)


def distances(reference: SortedSample, current: SortedSample, confidence: float = 0.95) -> Distances:
    """All distances between two sorted samples from one merge of them. Raises `BadInputError` for an empty sample."""
    if not (reference.values.size and current.values.size):
        raise BadInputError("a sample is empty", got=f"{reference.count:g} and {current.count:g} values")
    merge = _Merge.of(reference, current)
    ks = min(1.0, float(np.max(merge.apart[merge.gaps > 0.0] if merge.tied else merge.apart, initial=0.0)))
    wasserstein = float(merge.apart @ merge.gaps)
    return Distances(
        ks,
        wasserstein,
        _transport(reference, current, merge.places, wasserstein, confidence),
        merge.rank_mean,
        (reference.effective, current.effective),
    )


def kolmogorov_p_value(distance: float, n: float, m: float) -> float:
    """Two-sided p-value of the two-sample distance: the one-sample distribution at size nm/(n+m).

    As `scipy.stats.ks_2samp(method="asymp")`; conservative for small samples and for ties. Where it agrees to three
    digits - large sizes, and the body of the distribution - the limit is used with the correction of Vrbik, Pioneer
    J. Theor. Appl. Stat. 15 (2018) 15-19.
    """
    size = max(1, round(n * m / (n + m)))
    root = math.sqrt(size)
    corrected = distance * root + 1.0 / (6.0 * root) + (distance * root - 1.0) / (4.0 * size)
    limit = float(special.kolmogorov(max(corrected, 0.0)))
    if size > LARGE or (size > SMALL and limit > BODY):
        return limit
    return float(np.clip(stats.kstwo.sf(distance, size), 0.0, 1.0))


def folded_bias(observed: Floats, deviation: Floats) -> Floats:
    """How much the size of a normal estimate exceeds that of what it estimates, on average.

    E|N(d, s²)| - |d| with d² put at max(0, observed² - s²): as far as chance explains it, the observed size is bias.
    """
    share = np.sqrt(np.maximum(observed**2 - deviation**2, 0.0)) / deviation
    density = math.sqrt(2.0 / math.pi) * np.exp(-0.5 * share**2)
    return np.asarray(deviation * (density - 2.0 * share * special.ndtr(-share)), dtype=np.float64)


def _plain_difference(n: float, m: float, theirs: Flags, *, out: Floats) -> Floats:
    """G - F after each value, from whole numbers (index·m - seen·(n + m)) / nm: exactly zero where it is zero."""
    np.multiply(np.cumsum(theirs, dtype=np.int32), n + m, out=out)
    out -= np.arange(m, m * (out.size + 0.5), m)
    out /= n * m
    return out


def _weighted_difference(reference: SortedSample, current: SortedSample, order: Indices) -> Floats:
    """F - G after each value."""
    shares = np.diff(reference.total) / reference.count, np.diff(current.total) / -current.count
    return np.cumsum(np.concatenate(shares)[order])


def _rank_mean(reference: SortedSample, current: SortedSample) -> float:
    """Mean over `current` of the mid-distribution function of `reference`."""
    middle = 0.5 * (reference.below(current.values) + reference.below(current.values, included=True))
    return float(middle @ np.diff(current.total) / current.count)


def rank_variance(reference: SortedSample) -> float:
    """Variance of the mid-distribution function of `reference` on its own values: 1/12, less where values are tied."""
    starts = np.flatnonzero(np.diff(reference.values, prepend=-np.inf) > 0.0)
    masses = np.diff(reference.total[starts], append=reference.count) / reference.count
    return float(max(0.0, 1.0 - np.sum(masses**3)) / 12.0)


def _transport(
    reference: SortedSample, current: SortedSample, places: Floats, wasserstein: float, confidence: float
) -> Estimate:
    """The distance without its bias, and an interval by the delta method.

    The influence of an observation on the distance is the transport potential, whose slope is the sign of the
    difference of the distribution functions (del Barrio & Loubes, Ann. Probab. 47 (2019) 926-951). The upper end
    keeps the bias, the lower end loses it: both err on the side of a wide interval.
    """
    gaps = np.diff(places)
    before, now = (side.below(places[:-1], included=True) for side in (reference, current))
    difference = now - before
    precision = 1.0 / reference.effective + 1.0 / current.effective
    pooled = (before / current.effective + now / reference.effective) / precision
    deviation = np.sqrt(np.maximum(pooled * (1.0 - pooled) * precision, 1e-300))
    bias = float(folded_bias(difference, deviation) @ gaps)
    potential = np.concatenate([[0.0], np.cumsum(np.sign(difference) * gaps)])
    error = math.sqrt(
        _variance(potential, before) / reference.effective + _variance(potential, now) / current.effective
    )
    half = float(special.ndtri(0.5 + probability(confidence, "the confidence") / 2.0)) * error
    value = max(0.0, wasserstein - bias)
    return Estimate(value, max(0.0, wasserstein - bias - half), wasserstein + half)


def _variance(values: Floats, distribution: Floats) -> float:
    """Variance of `values` at places whose distribution function is `distribution`, 1 at the last."""
    masses = np.diff(distribution, prepend=0.0, append=1.0)
    mean = float(masses @ values)
    return max(0.0, float(masses @ (values - mean) ** 2))
