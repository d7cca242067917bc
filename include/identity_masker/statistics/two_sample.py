"""Do two samples come from the same distribution? Distances between them, each with a p-value.

Every result unpacks as (statistic, p_value, …). Inputs with NaN or too few values raise `BadInputError`; two
constant samples have p-value 1 when they are equal. The tests that need more room live in modules of their own and
are offered here too: `mann_whitney` (`ranks`), `mmd` (`kernels`).
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.kernels import MeanDiscrepancy, mmd
from identity_masker.statistics.ranks import MannWhitney, mann_whitney
from identity_masker.statistics.samples import Floats, sample

__all__ = [
    "MannWhitney",
    "MeanDiscrepancy",
    "StabilityIndex",
    "TwoSample",
    "energy_distance",
    "jensen_shannon",
    "ks",
    "mann_whitney",
    "mmd",
    "psi",
    "psi_of_shares",
    "psi_threshold",
    "wasserstein",
    "wasserstein_distance",
]

# Above this the exact Kolmogorov-Smirnov p-value costs much and its limit is accurate.
EXACT_KS = 10_000


class TwoSample(NamedTuple):
    """A distance between two samples and the p-value of "same distribution"."""

    statistic: float
    p_value: float

    @property
    def pvalue(self) -> float:
        """`p_value`, under the name that scipy gives it."""
        return self.p_value


class StabilityIndex(NamedTuple):
    """Population stability index with its p-value and the inner bin edges it was computed on."""

    statistic: float
    p_value: float
    edges: Floats

    @property
    def pvalue(self) -> float:
        return self.p_value


def ks(a: ArrayLike, b: ArrayLike) -> TwoSample:
    """Kolmogorov-Smirnov: the largest distance between the two empirical distribution functions.

    The p-value is exact up to 10,000 values a side, asymptotic above; conservative for data with ties.
    """
    first, second = sample(a, "a"), sample(b, "b")
    exact = max(first.size, second.size) <= EXACT_KS
    with warnings.catch_warnings():
        # scipy falls back to the limit by itself where the exact sum overflows, and says so by a warning.
        warnings.simplefilter("ignore", RuntimeWarning)
        result = stats.ks_2samp(first, second, method="exact" if exact else "asymp")
    return TwoSample(float(result.statistic), float(min(1.0, result.pvalue)))


def psi(a: ArrayLike, b: ArrayLike, bins: int | ArrayLike = 10) -> StabilityIndex:
    """Population stability index Σ (q - p) ln(q / p) of `b` (q) against the reference `a` (p).

    `bins`: a number of bins with equal shares of `a` (fewer when `a` has ties), or the inner edges. When a bin is
    empty on either side, half an observation is added to every bin. The p-value comes from the null distribution
    (1/n + 1/m)·χ² with bins - 1 degrees of freedom. A constant reference has the bins below, at and above it.
    """
    first, second = sample(a, "a", at_least=2), sample(b, "b", at_least=2)
    edges = _edges(first, bins)
    before, now = _histogram(first, edges), _histogram(second, edges)
    if np.any(before == 0.0) or np.any(now == 0.0):
        before, now = before + 0.5, now + 0.5
    value = psi_of_shares(before / before.sum(), now / now.sum())
    scale = 1.0 / first.size + 1.0 / second.size
    return StabilityIndex(value, float(stats.chi2.sf(value / scale, edges.size)), edges)


def psi_of_shares(p: ArrayLike, q: ArrayLike) -> float:
    """Σ (q - p) ln(q / p) of two lists of shares, all above zero."""
    before, now = sample(p, "p"), sample(q, "q")
    if before.size != now.size or np.any(before <= 0.0) or np.any(now <= 0.0):
        raise BadInputError("the shares are not comparable", allowed="two lists of one length with numbers above zero")
    return float(np.sum((now - before) * np.log(now / before)))


def psi_threshold(n: int, m: int, bins: int, alpha: float) -> float:
    """The index that two samples of `n` and `m` from one distribution pass with probability `alpha`."""
    return float((1.0 / n + 1.0 / m) * stats.chi2.isf(alpha, bins - 1))


def wasserstein(a: ArrayLike, b: ArrayLike, permutations: int = 199, seed: int = 0) -> TwoSample:
    """First Wasserstein (earth mover's) distance, in the units of the data, with a permutation p-value.

    The p-value is (1 + #{permuted ≥ observed}) / (permutations + 1): never 0. One sort serves all permutations.
    """
    first, second = sample(a, "a", at_least=2), sample(b, "b", at_least=2)
    if permutations < 1:
        raise BadInputError("too few permutations", got=permutations, allowed="at least 1")
    pooled = np.concatenate([first, second])
    order = np.argsort(pooled, kind="stable")
    gaps = np.diff(pooled[order])
    jumps = np.where(order < first.size, 1.0 / first.size, -1.0 / second.size)
    observed = float(np.abs(np.cumsum(jumps)[:-1]) @ gaps)
    rng = np.random.default_rng(seed)
    floor = observed * (1.0 - 1e-12)
    reached = sum(float(np.abs(np.cumsum(rng.permutation(jumps))[:-1]) @ gaps) >= floor for _ in range(permutations))
    return TwoSample(observed, (1.0 + reached) / (permutations + 1.0))


def wasserstein_distance(
    a: ArrayLike, b: ArrayLike, a_weights: ArrayLike | None = None, b_weights: ArrayLike | None = None
) -> float:
    """First Wasserstein distance of two samples, weighted if weights are given."""
    first, second = sample(a, "a"), sample(b, "b")
    return float(stats.wasserstein_distance(first, second, _weights(a_weights), _weights(b_weights)))


def energy_distance(
    a: ArrayLike, b: ArrayLike, a_weights: ArrayLike | None = None, b_weights: ArrayLike | None = None
) -> float:
    """Energy distance √2 (∫ (F - G)²)^½ of two samples, weighted if weights are given."""
    first, second = sample(a, "a"), sample(b, "b")
    return float(stats.energy_distance(first, second, _weights(a_weights), _weights(b_weights)))


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Jensen-Shannon distance (square root of the divergence, natural logarithm) of two lists of shares."""
    before, now = sample(p, "p"), sample(q, "q")
    if before.size != now.size or np.any(before < 0.0) or np.any(now < 0.0) or not (before.sum() and now.sum()):
        raise BadInputError("the shares are not comparable", allowed="lists of one length, none negative, not all 0")
    before, now = before / before.sum(), now / now.sum()
    middle = 0.5 * (before + now)
    divergence = 0.5 * float(np.sum(stats.entropy(before, middle)) + np.sum(stats.entropy(now, middle)))
    return float(np.sqrt(max(divergence, 0.0)))


def _edges(reference: Floats, bins: int | ArrayLike) -> Floats:
    if isinstance(bins, (int, np.integer)):
        if bins < 2:
            raise BadInputError("too few bins", got=int(bins), allowed="at least 2")
        low = float(reference.min())
        if low == reference.max():
            return np.array([low, np.nextafter(low, np.inf)])
        edges = np.quantile(reference, np.linspace(0.0, 1.0, int(bins) + 1)[1:-1])
        # Many values tied at the smallest get a bin of their own, else the first bin would be empty.
        return np.unique(np.where(edges <= low, np.nextafter(low, np.inf), edges))
    edges = sample(bins, "the bin edges")
    if np.any(np.diff(edges) <= 0.0):
        raise BadInputError("the bin edges do not grow", got=edges.tolist())
    return edges


def _histogram(values: Floats, edges: Floats) -> Floats:
    found = np.bincount(np.searchsorted(edges, values, side="right"), minlength=edges.size + 1)
    return found.astype(np.float64)


def _weights(weights: ArrayLike | None) -> Floats | None:
    return None if weights is None else sample(weights, "the weights")
