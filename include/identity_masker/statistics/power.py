"""How many units an experiment needs, what it can find with the units it has, and how likely it is to find it.

Sizes are exact roots, not rounded: round up before you use them. `ratio` is units of the second arm per unit of the
first; sizes are units of the first arm. `alternative` is `two-sided`, or `larger` / `smaller` for one side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import optimize, special, stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import one_of, probability

ALTERNATIVES = {
    "two_sided": "two_sided",
    "larger": "larger",
    "greater": "larger",
    "smaller": "smaller",
    "less": "smaller",
    "one_sided": "larger",
}
MEAN_METHODS = ("t", "z")
PROPORTION_METHODS = {
    "pooled": "pooled",
    "pooled_null": "pooled",
    "fleiss": "pooled",
    "unpooled": "unpooled",
    "arcsine": "arcsine",
    "cohen_h": "arcsine",
    "h": "arcsine",
    "baseline": "baseline",
    "evan_miller": "baseline",
    "continuity": "continuity",
}
LARGEST = 1e15


def cohen_h(p1: float, p2: float) -> float:
    """Cohen's h, the difference of two proportions on the arcsine scale: 2·asin √p1 - 2·asin √p2."""
    for name, p in (("p1", p1), ("p2", p2)):
        if not 0.0 <= p <= 1.0:
            raise BadInputError(f"{name} is not a proportion", got=p, allowed="a number from 0 to 1")
    return 2.0 * math.asin(math.sqrt(p1)) - 2.0 * math.asin(math.sqrt(p2))


def power_means(
    n: float,
    effect_size: float,
    alpha: float = 0.05,
    alternative: str = "two-sided",
    *,
    ratio: float = 1.0,
    method: str = "t",
) -> float:
    """Probability that a test of two means finds a difference of `effect_size` standard deviations.

    `method` is `t` (the noncentral t distribution of Student's test, n and n·ratio units) or `z` (variance known).
    """
    alpha, side = probability(alpha, "alpha"), _side(alternative)
    kind = one_of(method, MEAN_METHODS, "method")
    _positive(ratio, "ratio")
    shift = _finite(effect_size, "effect_size") * math.sqrt(_positive(n, "n") * ratio / (1.0 + ratio))
    if kind == "z":
        return _normal_power(shift, alpha, side)
    degrees = n * (1.0 + ratio) - 2.0
    if degrees <= 0.0:
        raise BadInputError("too few units for a t test", got=f"n = {n}", allowed="more than two units together")
    return _t_power(shift, degrees, alpha, side)


def sample_size_means(
    effect_size: float,
    alpha: float = 0.05,
    power: float = 0.8,
    alternative: str = "two-sided",
    *,
    ratio: float = 1.0,
    method: str = "t",
) -> float:
    """Units in the first arm so that a test of two means has `power` at `effect_size` standard deviations.

    Exact root of `power_means`, and at least 2: a variance needs two units. Raises `BadInputError` when no
    size will do (no effect, an effect on the wrong side, a power of at most alpha).
    """
    compute = partial(
        power_means, effect_size=effect_size, alpha=alpha, alternative=alternative, ratio=ratio, method=method
    )
    _reachable(effect_size, alpha, power, alternative)
    return _root_in_size(compute, power)


def detectable_effect_means(
    n: float,
    alpha: float = 0.05,
    power: float = 0.8,
    alternative: str = "two-sided",
    *,
    ratio: float = 1.0,
    method: str = "t",
) -> float:
    """The smallest effect, in standard deviations, that `n` units in the first arm find with `power` (> 0)."""
    sign = -1.0 if _side(alternative) == "smaller" else 1.0
    _reachable(sign, alpha, power, alternative)

    def gap(effect: float) -> float:
        found = power_means(n, sign * effect, alpha, alternative, ratio=ratio, method=method)
        return found - power

    scale = math.sqrt((1.0 + ratio) / (n * ratio))
    upper = scale
    while gap(upper) < 0.0:
        upper *= 2.0
    return float(optimize.brentq(gap, 0.0, upper, xtol=1e-14 * scale, rtol=1e-13))


def power_proportions(
    n: float,
    p1: float,
    p2: float,
    alpha: float = 0.05,
    method: str = "pooled",
    alternative: str = "two-sided",
    *,
    ratio: float = 1.0,
) -> float:
    """Probability that a test of two proportions with `n` and `n·ratio` units tells `p1` from `p2`.

    Methods: `pooled` (z test with the pooled variance under the null, Fleiss), `unpooled` (Wald), `arcsine` (Cohen's
    h, as statsmodels' NormalIndPower), `baseline` (null variance at `p1`, as Evan Miller's calculator), `continuity`
    (Fleiss with continuity correction). The tail on the far side is counted for `arcsine` only, as its source does.
    """
    alpha, side = probability(alpha, "alpha"), _side(alternative)
    _positive(n, "n"), _positive(ratio, "ratio")
    kind = _proportion_method(method)
    difference, null, truth = _deviations(p1, p2, kind, ratio)
    if side == "smaller":
        difference = -difference
    elif side == "two_sided":
        difference = abs(difference)
    if kind == "arcsine":
        return _normal_power(difference * math.sqrt(n), alpha, side if side == "two_sided" else "larger")
    if kind == "continuity":
        difference -= math.copysign(min(abs(difference), (1.0 + ratio) / (2.0 * n * ratio)), difference)
    z = stats.norm.isf(alpha / 2.0 if side == "two_sided" else alpha)
    return float(stats.norm.sf((z * null - difference * math.sqrt(n)) / truth))


def sample_size_proportions(
    p1: float,
    p2: float,
    alpha: float = 0.05,
    power: float = 0.8,
    method: str = "pooled",
    alternative: str = "two-sided",
    *,
    ratio: float = 1.0,
) -> float:
    """Units in the first arm so that a test of `p1` against `p2` has `power`; methods as in `power_proportions`.

    Exact root, not rounded. Source of the closed form: Fleiss, Levin & Paik, Statistical Methods for Rates and
    Proportions (2003), ch. 4.
    """
    kind, side = _proportion_method(method), _side(alternative)
    _positive(ratio, "ratio")
    _reachable(p2 - p1, alpha, power, alternative)
    difference, null, truth = _deviations(p1, p2, kind, ratio)
    if kind == "arcsine":
        compute = partial(
            power_proportions, p1=p1, p2=p2, alpha=alpha, method=method, alternative=alternative, ratio=ratio
        )
        return _root_in_size(compute, power, at_least=1e-9)
    z = float(stats.norm.isf(alpha / 2.0 if side == "two_sided" else alpha))
    size = ((z * null + float(stats.norm.ppf(power)) * truth) / difference) ** 2
    if kind == "continuity":
        size *= 0.25 * (1.0 + math.sqrt(1.0 + 2.0 * (1.0 + ratio) / (size * ratio * abs(difference)))) ** 2
    return size


def detectable_proportion(
    n: float, p1: float, alpha: float = 0.05, power: float = 0.8, method: str = "pooled", *, ratio: float = 1.0
) -> float | None:
    """The smallest p2 > p1 that `n` units in the first arm tell from `p1` with `power` (two-sided), or None."""

    def gap(p2: float) -> float:
        return power_proportions(n, p1, p2, alpha, method, ratio=ratio) - power

    lower, upper = p1 + (1.0 - p1) * 1e-9, 1.0 - (1.0 - p1) * 1e-9
    if gap(upper) < 0.0:
        return None
    return float(optimize.brentq(gap, lower, upper, xtol=1e-14, rtol=1e-13))


def difference_variance(var1: float, n1: float, var2: float, n2: float) -> float:
    """Variance of the difference of two means of independent samples."""
    return var1 / n1 + var2 / n2


def relative_variance(var1: float, mean1: float, n1: float, var2: float, mean2: float, n2: float) -> float:
    """Variance of mean2 / mean1 - 1 by the delta method."""
    if mean1 == 0.0:
        raise BadInputError("a relative effect needs a baseline that is not zero", got=f"mean1 = {mean1}")
    return var2 / n2 / mean1**2 + var1 / n1 * mean2**2 / mean1**4


def power_of_effect(effect: float, standard_error: float, alpha: float = 0.05, critical: float | None = None) -> float:
    """P(|Z + effect/standard_error| > critical); `critical` defaults to the two-sided normal quantile of alpha."""
    bound = float(stats.norm.isf(probability(alpha, "alpha") / 2.0)) if critical is None else critical
    drift = effect / _positive(standard_error, "standard_error")
    return float(stats.norm.sf(bound - drift) + stats.norm.cdf(-bound - drift))


def _t_power(shift: float, degrees: float, alpha: float, side: str) -> float:
    if side == "smaller":
        return _t_power(-shift, degrees, alpha, "larger")
    critical = float(stats.t.isf(alpha / 2.0 if side == "two_sided" else alpha, degrees))
    upper = _t_tail(critical, degrees, shift)
    return upper if side == "larger" else upper + _t_tail(critical, degrees, -shift)


def _t_tail(critical: float, degrees: float, shift: float) -> float:
    """P(T > critical) for T noncentral t."""
    tail = float(stats.nct.sf(critical, degrees, shift))
    if math.isfinite(tail):
        return tail
    # The library's series gives up far from the centre: integrate over the distribution of the deviation instead.
    low, high = stats.chi2.ppf([1e-16, 1.0 - 1e-16], degrees)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    chi = 0.5 * (math.sqrt(high) - math.sqrt(low)) * nodes + 0.5 * (math.sqrt(high) + math.sqrt(low))
    mass = weights * stats.chi.pdf(chi, degrees) * 0.5 * (math.sqrt(high) - math.sqrt(low))
    return float(mass @ special.ndtr(shift - critical * chi / math.sqrt(degrees)))


def _normal_power(shift: float, alpha: float, side: str) -> float:
    if side == "smaller":
        return _normal_power(-shift, alpha, "larger")
    if side == "larger":
        return float(stats.norm.sf(stats.norm.isf(alpha) - shift))
    critical = float(stats.norm.isf(alpha / 2.0))
    return float(stats.norm.sf(critical - shift) + stats.norm.cdf(-critical - shift))


def _deviations(p1: float, p2: float, kind: str, ratio: float) -> tuple[float, float, float]:
    """Signed difference p2 - p1 and its standard deviations under null and truth for one unit in the first arm."""
    p1, p2 = probability(p1, "p1"), probability(p2, "p2")
    truth = math.sqrt(p1 * (1.0 - p1) + p2 * (1.0 - p2) / ratio)
    if kind == "arcsine":
        return cohen_h(p2, p1) * math.sqrt(ratio / (1.0 + ratio)), 1.0, 1.0
    if kind == "unpooled":
        return p2 - p1, truth, truth
    pooled = p1 if kind == "baseline" else (p1 + ratio * p2) / (1.0 + ratio)
    return p2 - p1, math.sqrt(pooled * (1.0 - pooled) * (1.0 + 1.0 / ratio)), truth


def _root_in_size(compute: Callable[[float], float], power: float, at_least: float = 2.0) -> float:
    if compute(at_least) >= power:
        return at_least
    upper = max(4.0, at_least * 2.0)
    while compute(upper) < power:
        upper *= 4.0
        if upper > LARGEST:
            raise BadInputError("the effect is too small for any sample", allowed=f"a size of at most {LARGEST:g}")
    lower = max(at_least, upper / 4.0)
    return float(optimize.brentq(lambda n: compute(n) - power, lower, upper, xtol=1e-10, rtol=1e-13))


def _reachable(effect: float, alpha: float, power: float, alternative: str) -> None:
    side = _side(alternative)
    alpha, power = probability(alpha, "alpha"), probability(power, "power")
    if power <= alpha:
        raise BadInputError("the power is not above alpha", got=f"power {power}, alpha {alpha}")
    if _finite(effect, "the effect") == 0.0:
        raise BadInputError("no sample can find an effect of zero", fix="state the smallest effect that matters")
    if (side == "larger" and effect < 0.0) or (side == "smaller" and effect > 0.0):
        raise BadInputError("the effect lies on the other side of the alternative", got=f"{effect} with {alternative}")


def _proportion_method(method: str) -> str:
    return PROPORTION_METHODS[one_of(method, tuple(PROPORTION_METHODS), "method")]


def _side(alternative: str) -> str:
    return ALTERNATIVES[one_of(alternative, tuple(ALTERNATIVES), "alternative")]


def _positive(value: float, name: str) -> float:
    if not (math.isfinite(value) and value > 0.0):
        raise BadInputError(f"{name} is out of range", got=value, allowed="a finite number above zero")
    return float(value)


def _finite(value: float, name: str) -> float:
    if not math.isfinite(value):
        raise BadInputError(f"{name} is not finite", got=value)
    return float(value)
