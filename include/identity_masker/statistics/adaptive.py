"""Estimates that stay unbiased when the shares of the arms followed the data (bandits).

The plain mean of an arm is biased then: an arm that starts with bad luck gets little traffic and never recovers.
Within a period of constant shares the arms are compared fairly; the periods are put together with weights that
depend on the shares alone, which keeps the estimate unbiased and makes its studentised error normal. Comparing
within periods also removes what changes over time in all arms alike.
Source: Zhang, Janson & Murphy, NeurIPS 2020 (arXiv 2002.03217).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from identity_masker.errors import BadInputError
from identity_masker.statistics.effects import Effect
from identity_masker.statistics.samples import Floats


class Periods(NamedTuple):
    """What was seen in each period of constant shares: arrays (periods, arms), or (..., periods, arms).

    `counts`, `means` and `scatters` (sums of squares about the mean) of each arm, and the `propensities` with which
    units were sent to it.
    """

    counts: Floats
    means: Floats
    scatters: Floats
    propensities: Floats

    @classmethod
    def of(cls, counts: ArrayLike, means: ArrayLike, scatters: ArrayLike, propensities: ArrayLike) -> Periods:
        """The arrays checked. Raises `BadInputError` for shapes that differ or numbers out of range."""
        arrays = [np.asarray(each, dtype=np.float64) for each in (counts, means, scatters, propensities)]
        if len({array.shape for array in arrays}) != 1 or arrays[0].ndim < 2:
            raise BadInputError("the periods differ in shape", got=str([array.shape for array in arrays]))
        if np.any(arrays[0] < 0) or np.any((arrays[3] < 0) | (arrays[3] > 1)) or not np.isfinite(arrays[3]).all():
            raise BadInputError("counts or propensities are out of range", allowed="counts ≥ 0, propensities 0 to 1")
        return cls(*arrays)


def batched_effect(periods: Periods, control: int, treatment: int) -> Effect:
    """Effect of `treatment` against `control` from all periods in which both had at least two units."""
    estimate, variance, used = batched_estimates(periods, control, treatment)
    if not np.any(used):
        raise BadInputError("no period has two units in both arms", got=f"{used.size} periods")
    if not variance > 0.0:
        raise BadInputError("neither arm varies", got="a variance of zero", fix="check the metric: nothing to compare")
    units = float(np.sum((periods.counts[..., control] + periods.counts[..., treatment])[used]))
    return Effect(float(estimate), math.sqrt(float(variance)), units - 2.0 * float(np.count_nonzero(used)), units)


def batched_estimates(periods: Periods, control: int, treatment: int) -> tuple[Floats, Floats, np.ndarray]:
    """As `batched_effect` for many experiments at once: estimates, variances (...), and the periods used."""
    n0, n1 = periods.counts[..., control], periods.counts[..., treatment]
    e0, e1 = periods.propensities[..., control], periods.propensities[..., treatment]
    used = (n0 >= 2) & (n1 >= 2) & (e0 > 0.0) & (e1 > 0.0)
    total = periods.counts.sum(axis=-1)
    shares = np.where(used, e0 * e1 / np.where(used, e0 + e1, 1.0), 0.0)
    weights = total * np.sqrt(shares)
    sum_of_weights = weights.sum(axis=-1)
    scale = np.where(sum_of_weights > 0.0, sum_of_weights, 1.0)
    gap = np.where(used, periods.means[..., treatment] - periods.means[..., control], 0.0)
    spread = np.where(used, _variance(periods, control) + _variance(periods, treatment), 0.0)
    estimate = np.sum(weights * gap, axis=-1) / scale
    variance = np.sum(weights**2 * spread, axis=-1) / scale**2
    return estimate, variance, used


def _variance(periods: Periods, arm: int) -> Floats:
    """Variance of the mean of an arm in each period; 0 where it cannot be told (those periods are not used)."""
    count = np.maximum(periods.counts[..., arm], 2.0)
    result: Floats = periods.scatters[..., arm] / (count - 1.0) / count
    return result
