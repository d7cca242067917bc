"""Estimate of the effect between two arms and its confidence sequence: an interval that holds at every look at once.

An effect is inside unless the data reject it: the e-value of a fixed two-sided mixture against this effect, under the
noise that explains the data best, stays below 1/alpha (see `comparison`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import expit

from identity_masker.statistics.arm_noise import NoiseFilter, NoiseGrid
from identity_masker.statistics.comparison import Comparison, joint_prior, log_mean

Floats = NDArray[np.float64]

# Log ratios beyond e^±LARGEST are not told apart.
LARGEST = math.log(1000.0)
PRIOR = (0.25, 0.5, 1.0, 1.5, 2.2, 3.3, 5.0, 8.0)
GRID, REACH = 101, 7.0


class CountLook(NamedTuple):
    """Events and exposures of both arms in one look; see `NoiseFilter.counts` for the last two."""

    canary: float
    champion: float
    canary_exposure: float
    champion_exposure: float
    gain: float = 1.0
    elapsed: float = 1.0


class ShiftLook(NamedTuple):
    """Difference of the arms' means in one look, and its sampling variance."""

    difference: float
    variance: float
    elapsed: float = 1.0


class EffectInterval(NamedTuple):
    estimate: float
    lower: float
    upper: float


def effect_interval(
    looks: Sequence[CountLook | ShiftLook], unit: float, noise: NoiseGrid, alpha: float, burst_factor: float = 1.0
) -> EffectInterval | None:
    """Maximum-likelihood effect without noise and the confidence sequence at level 1 - `alpha`.

    `unit` is the size of effect that matters (the margin). None when the looks hold no information.
    """
    centre, precision = _fit(looks)
    if precision <= 0.0:
        return None
    far = unit * np.array(PRIOR)
    alternatives = np.concatenate([-far[::-1], [0.0], far])
    nulls = centre + np.sinh(np.linspace(-REACH, REACH, GRID)) / math.sqrt(precision)
    seen = NoiseFilter(1, np.concatenate([alternatives, nulls]), noise)
    for look in looks:
        feed(seen, look)
    likelihood = seen.log_likelihood
    mixture = log_mean(likelihood[:, : alternatives.size], joint_prior((1.0,) * alternatives.size, noise))[0]
    best = np.max(likelihood[0, alternatives.size :] - noise.cost, axis=-1)
    excess = (mixture - best) / burst_factor + math.log(alpha)
    return EffectInterval(centre, *_inside(nulls, excess, centre))


def feed(test: NoiseFilter | Comparison, look: CountLook | ShiftLook) -> None:
    """Give one look of one stream to a filter or a comparison."""
    if isinstance(look, CountLook):
        counts = [np.array([value], dtype=np.float64) for value in look[:5]]
        test.counts(counts[0], counts[1], counts[2], counts[3], counts[4], look.elapsed)
    else:
        test.shift(np.array([look.difference]), np.array([look.variance]), look.elapsed)


def _fit(looks: Sequence[CountLook | ShiftLook]) -> tuple[float, float]:
    """The effect that fits best without noise, and its information (1 / variance)."""
    shifts = [look for look in looks if isinstance(look, ShiftLook)]
    if shifts:
        weights = np.array([1.0 / look.variance for look in shifts])
        return float(np.average([look.difference for look in shifts], weights=weights)), float(weights.sum())
    table = np.array([look for look in looks if isinstance(look, CountLook)], dtype=np.float64).reshape(-1, 6)
    table = table[(table[:, 0] + table[:, 1] > 0.0) & (table[:, 2] > 0.0) & (table[:, 3] > 0.0)]
    if table.size == 0:
        return 0.0, 0.0
    canary, events, gain = table[:, 0], table[:, 0] + table[:, 1], table[:, 4]
    odds = np.log(table[:, 2] / table[:, 3])

    def score(effect: float) -> float:
        return float(np.sum(gain * (canary - events * expit(odds + gain * effect))))

    if score(-LARGEST) <= 0.0:
        effect = -LARGEST
    elif score(LARGEST) >= 0.0:
        effect = LARGEST
    else:
        effect = float(optimize.brentq(score, -LARGEST, LARGEST, xtol=1e-12))
    share = expit(odds + gain * effect)
    # At the edge (an arm without events) the curvature vanishes; half an event keeps the grid at a sensible width.
    return effect, max(float(np.sum(gain**2 * events * share * (1.0 - share))), 0.5)


def _inside(nulls: Floats, excess: Floats, centre: float) -> tuple[float, float]:
    """Ends of the range around the best effect where `excess` is below zero, between grid points by interpolation."""
    middle = int(np.argmin(excess))
    if excess[middle] >= 0.0:
        return centre, centre
    lower, upper = nulls[0], nulls[-1]
    for i in range(middle, 0, -1):
        if excess[i - 1] >= 0.0:
            lower = np.interp(0.0, [excess[i], excess[i - 1]], [nulls[i], nulls[i - 1]])
            break
    for i in range(middle, nulls.size - 1):
        if excess[i + 1] >= 0.0:
            upper = np.interp(0.0, [excess[i], excess[i + 1]], [nulls[i], nulls[i + 1]])
            break
    return min(float(lower), centre), max(float(upper), centre)
