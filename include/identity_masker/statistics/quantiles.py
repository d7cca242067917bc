"""Quantiles of an arm with the variance of their estimate, also when values come in clusters (events of one user)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.confidence_sequences import beta_binomial_log_mixture
from identity_masker.statistics.effects import Level
from identity_masker.statistics.moments import Moments
from identity_masker.statistics.samples import Floats, probability, sample

# The density at the quantile is read off the order statistics this many standard errors around it.
REACH = 1.959963984540054


class Bracket(NamedTuple):
    """The share of values at which order statistics are needed: the quantile itself and both sides of it."""

    low: float
    quantile: float
    high: float


def bracket(nu: float, n: float) -> Bracket | None:
    """Shares around quantile `nu` whose order statistics give its standard error from `n` independent values.

    None when the bracket leaves [0, 1]: the sample is too small for this quantile.
    """
    half = REACH * math.sqrt(probability(nu, "the quantile") * (1.0 - nu) / n)
    return Bracket(nu - half, nu, nu + half) if nu - half > 0.0 and nu + half < 1.0 else None


def quantile_level(
    n: float, quantile: float, low: float, high: float, *, inflation: float = 1.0, units: float | None = None
) -> Level:
    """Estimate of a quantile from the order statistics at the shares of `bracket`.

    `inflation`: variance of the share below the quantile over that of independent values (`cluster_inflation`).
    `units`: units of randomisation, when values are events. Raises `BadInputError` when `low` and `high` coincide:
    the values are tied around the quantile and its variance cannot be told.
    Source: Deng, Knoblich & Lu, KDD 2018 (arXiv 1803.06336).
    """
    if n < 2 or not high > low:
        raise BadInputError("the quantile's variance cannot be told", got=f"{n:g} values, bracket {low:g} to {high:g}")
    variance = (n - 1.0) / n * ((high - low) / (2.0 * REACH)) ** 2 * inflation
    return Level.unadjusted(quantile, variance, n if units is None else units)


def cluster_inflation(below: Moments, nu: float) -> float:
    """How much clusters widen the variance of the share below the quantile.

    `below`: moments over clusters of (values below the quantile, values).
    """
    clusters, mean_size = below.count, float(below.mean[1])
    share = float(below.mean[0]) / mean_size
    gradient = np.array([1.0, -share]) / mean_size
    clustered = float(gradient @ below.covariance @ gradient) / clusters
    return clustered / (probability(nu, "the quantile") * (1.0 - nu) / (clusters * mean_size))


def sample_quantile(values: ArrayLike, nu: float) -> Level:
    """Quantile `nu` of independent `values`, with the variance of its estimate."""
    ordered = np.sort(sample(values, "the values", at_least=2))
    around = bracket(nu, ordered.size)
    if around is None:
        raise BadInputError("too few values for this quantile", got=f"{ordered.size} values for {nu}")
    low, middle, high = np.quantile(ordered, around)
    return quantile_level(ordered.size, float(middle), float(low), float(high))


def sequential_quantile_p_value(
    a: ArrayLike, b: ArrayLike, nu: float = 0.5, *, t_opt: float = 100.0, alpha_opt: float = 0.05
) -> float:
    """p-value of "both arms have the same quantile `nu`", valid at every pair of sample sizes at once.

    Product of the two arms' beta-binomial mixtures, at the common quantile that both speak least against.
    `t_opt`: values an arm at which it has most power. Source: Howard & Ramdas, Bernoulli 28 (2022) 1704-1728.
    """
    arms = [np.sort(sample(a, "a")), np.sort(sample(b, "b"))]
    nu = probability(nu, "the quantile")
    # Evidence changes only at observed values: at one, and just above one.
    places = np.unique(np.concatenate(arms))
    evidence = np.zeros((2, places.size))
    for row, arm in enumerate(arms):
        table = _evidence_by_rank(arm.size, nu, t_opt, alpha_opt)
        evidence[row] = _least(table, arm, places)
    return math.exp(-max(0.0, float(np.min(evidence.sum(axis=0)))))


def _evidence_by_rank(n: int, nu: float, t_opt: float, alpha_opt: float) -> Floats:
    """Log mixture for each number of values (0 to n) at or below the supposed quantile."""
    v = nu * (1.0 - nu)
    return np.array(
        [
            beta_binomial_log_mixture(rank - nu * n, v * n, v * t_opt, nu, 1.0 - nu, alpha_opt, one_sided=False)
            for rank in range(n + 1)
        ]
    )


def _least(table: Floats, arm: Floats, places: Floats) -> Floats:
    """The least evidence against each place: any share between "below" and "at or below" it is possible there."""
    below = np.searchsorted(arm, places, side="left")
    at_or_below = np.searchsorted(arm, places, side="right")
    valley = int(np.argmin(table))
    inside = (below <= valley) & (valley <= at_or_below)
    return np.where(inside, table[valley], np.minimum(table[below], table[at_or_below]))


def difference_interval(control: Level, treatment: Level, alpha: float = 0.05) -> tuple[float, float]:
    """Normal interval for the difference treatment - control."""
    half = float(stats.norm.isf(probability(alpha, "alpha") / 2.0)) * math.sqrt(control.variance + treatment.variance)
    return treatment.value - control.value - half, treatment.value - control.value + half
