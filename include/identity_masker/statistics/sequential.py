"""Tests that may be looked at more than once.

`spending_boundaries` serves looks on a schedule (group sequential, alpha spending); the functions of
`confidence_sequences` serve looks at any time and are offered here too.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.confidence_sequences import (
    asymptotic_half_width,
    asymptotic_p_value,
    asymptotic_rho,
)
from identity_masker.statistics.crossing import Density, fractions
from identity_masker.statistics.samples import Floats, probability, sample
from identity_masker.statistics.spending import Spending, spent

__all__ = [
    "asymptotic_half_width",
    "asymptotic_p_value",
    "asymptotic_rho",
    "information_fractions",
    "sequential_p_value",
    "spending_boundaries",
]

# An error this small is never spent on purpose; its boundary is infinite.
NOTHING = 1e-300
LARGEST_ALPHA = 0.9999
REACH_Z = 40.0


def information_fractions(information: ArrayLike, planned: float | None = None) -> Floats:
    """`information` as fractions of `planned`.

    Without `planned`, numbers of at most 1 are taken as fractions already, larger ones as amounts (units, events)
    whose last is the planned total.
    """
    times = fractions(information)
    if planned is None:
        return times if times[-1] <= 1.0 + 1e-9 else times / times[-1]
    if not (math.isfinite(planned) and planned > 0.0):
        raise BadInputError("the planned information is out of range", got=planned, allowed="a number above zero")
    return times / planned


def spending_boundaries(
    information: ArrayLike,
    alpha: float,
    spending: Spending = "obrien_fleming",
    two_sided: bool = True,
    *,
    planned: float | None = None,
    spending_time: ArrayLike | None = None,
) -> Floats:
    """z boundaries, one a look, that spend `alpha` as the information comes in.

    Looks may be unequally spaced and need not be known in advance: the boundary of a look depends on the looks up
    to it. Two-sided tests are symmetric and spend alpha/2 on each side, each by its own spending function. A look
    at which (nearly) nothing is spent has an infinite boundary. Beyond the planned information all of alpha is spent.
    `spending_time` (fractions, one a look) spends by another clock than the information, such as the calendar: the
    information, in any unit, then only says how the looks are correlated.
    Exact to about 1e-9; source: Lan & DeMets, Biometrika 70 (1983), with the recursion of `crossing`.
    """
    times = information_fractions(information, planned)
    side = probability(alpha, "alpha") / 2.0 if two_sided else probability(alpha, "alpha")
    to_spend = np.diff(spent(_clock(times, spending_time), side, spending), prepend=0.0)
    density = Density.at_start()
    bounds = np.full(times.size, np.inf)
    for look, time in enumerate(times):
        if to_spend[look] > NOTHING:
            bounds[look] = _boundary(density, time, to_spend[look])
        if look + 1 < times.size:
            high = bounds[look] * math.sqrt(time)
            density = density.carried([(-high if two_sided else -np.inf, high)], time, times[look + 1])
    return bounds


def sequential_p_value(
    z: ArrayLike,
    information: ArrayLike,
    spending: Spending = "obrien_fleming",
    two_sided: bool = True,
    *,
    planned: float | None = None,
    spending_time: ArrayLike | None = None,
) -> float:
    """p-value after the looks so far, valid however many of the scheduled looks were taken.

    The smallest alpha at which some look would have crossed its boundary (Liu & Anderson, Biometrika 95 (2008)
    1001-1005); one-sided tests reject for large z. At least 1 - 0.9999 apart from 1, when nothing would cross.
    """
    scores = sample(z, "z")
    times = information_fractions(information, planned)
    if scores.size != times.size:
        raise BadInputError("z and information differ in length", got=f"{scores.size} and {times.size}")
    values, clock = np.abs(scores) if two_sided else scores, _clock(times, spending_time)

    def excess(log_alpha: float) -> float:
        alpha = math.exp(log_alpha)
        bounds = spending_boundaries(times, alpha, spending, two_sided, planned=1.0, spending_time=clock)
        return float(np.max(values - bounds))

    top = math.log(LARGEST_ALPHA)
    if excess(top) < 0.0:
        return 1.0
    # A look alone can never be rejected below its fixed-sample p-value.
    fixed = stats.norm.logsf(np.max(values)) + (math.log(2.0) if two_sided else 0.0)
    bottom = max(float(fixed) - 1e-9, math.log(NOTHING) + 1.0)
    if excess(bottom) >= 0.0:
        return math.exp(bottom)
    return math.exp(float(optimize.brentq(excess, bottom, top, xtol=1e-9, rtol=1e-12)))


def _clock(times: Floats, spending_time: ArrayLike | None) -> Floats:
    if spending_time is None:
        return times
    clock = fractions(spending_time)
    if clock.size != times.size:
        raise BadInputError("spending time and information differ in length", got=f"{clock.size} and {times.size}")
    return clock


def _boundary(density: Density, time: float, target: float) -> float:
    """The z above which mass `target` lies: Newton on the logarithm of the tail, kept inside a bracket."""
    root_time = math.sqrt(time)
    low, high = -REACH_Z, float(stats.norm.isf(target)) + 1e-9
    z, goal = high, math.log(target)
    for _ in range(60):
        tail = density.above(z * root_time, time)
        gap = math.log(tail) - goal if tail > 0.0 else -np.inf
        if gap > 0.0:
            low = z
        else:
            high = z
        if abs(gap) < 1e-12 or high - low < 1e-12:
            return z
        slope = float(density.at(np.array([z * root_time]), time)[0]) * root_time / tail if tail > 0.0 else 0.0
        z = z + gap / slope if slope > 0.0 else np.nan
        if not low < z < high:
            z = 0.5 * (low + high)
    return z
