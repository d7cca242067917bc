"""Several tests at once: p-values (and e-values) adjusted so that the error rate is the one that was stated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats, p_values, probability, sample


def bonferroni(p: ArrayLike) -> Floats:
    """p-values times their number, at most 1. Controls the family-wise error rate."""
    values = p_values(p)
    return np.minimum(values * values.size, 1.0)


def holm(p: ArrayLike) -> Floats:
    """Holm's step-down adjusted p-values, in the order given.

    Controls the family-wise error rate under any dependence, and rejects all that Bonferroni rejects.
    Source: Holm, Scand. J. Statist. 6 (1979) 65-70.
    """
    values = p_values(p)
    order = np.argsort(values, kind="stable")
    factors = values.size - np.arange(values.size)
    return _back(np.minimum(np.maximum.accumulate(values[order] * factors), 1.0), order)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Benjamini's and Hochberg's step-up adjusted p-values, in the order given.

    Controls the false discovery rate for independent or positively dependent tests.
    Source: Benjamini & Hochberg, JRSS B 57 (1995) 289-300.
    """
    return _step_up(p, 1.0)


def benjamini_yekutieli(p: ArrayLike) -> Floats:
    """As `benjamini_hochberg`, valid under any dependence at the price of a factor of 1 + 1/2 + … + 1/m.

    Source: Benjamini & Yekutieli, Ann. Statist. 29 (2001) 1165-1188.
    """
    size = p_values(p).size
    return _step_up(p, float(np.sum(1.0 / np.arange(1, size + 1))))


def e_benjamini_hochberg(e: ArrayLike, alpha: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which hypotheses e-BH rejects: false discovery rate at most `alpha` under any dependence.

    Rejects the k largest e-values for the largest k with e_(k) ≥ m / (alpha k).
    Source: Wang & Ramdas, JRSS B 84 (2022) 822-852.
    """
    values, alpha = sample(e, "the e-values"), probability(alpha, "alpha")
    if np.any(values < 0):
        raise BadInputError("e-values are out of range", got=values.tolist(), allowed="numbers of zero or more")
    ranked = np.sort(values)[::-1]
    passing = np.flatnonzero(ranked * np.arange(1, values.size + 1) >= values.size / alpha)
    rejected: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.zeros(values.size, dtype=bool)
    if passing.size:
        rejected |= values >= ranked[passing[-1]]
    return rejected


def _step_up(p: ArrayLike, penalty: float) -> Floats:
    values = p_values(p)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * values.size * penalty / np.arange(1, values.size + 1)
    return _back(np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0), order)


def _back(ranked: Floats, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Floats:
    result = np.empty_like(ranked)
    result[order] = ranked
    return result
