"""Intervals and p-values that hold at every sample size at once, so that one may look at any time.

`asymptotic_*`: mean of any distribution once the sample is of some size (Waudby-Smith, Arbour, Sinha, Kennedy &
Ramdas, arXiv 2103.06476v7). The rest: non-asymptotic boundaries for sums with known variance process (Howard,
Ramdas, McAuliffe & Sekhon, Ann. Statist. 49 (2021) 1055-1080) and what follows from them for shares.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import optimize
from scipy.special import betainc, betaln, gammainc, gammaln, log_ndtr, zeta

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import probability

LogMixture = Callable[[float, float], float]


def asymptotic_rho(alpha: float, n_tuned: float) -> float:
    """The mixture parameter at which the sequence is narrowest after `n_tuned` units (eq. 161)."""
    alpha = probability(alpha, "alpha")
    return math.sqrt((-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / _above_zero(n_tuned, "n_tuned"))


def asymptotic_half_width(
    sd: float, n: float, alpha: float = 0.05, n_tuned: float = 5000.0, *, one_sided: bool = False
) -> float:
    """Half width, at `n` units, of the asymptotic confidence sequence for a mean with standard deviation `sd`.

    For a difference of two means pass √n times its standard error as `sd`, with n the units of both arms together.
    Two-sided: eq. 9; `one_sided`: eq. 134, for a bound on one side (alpha below one half).
    """
    alpha, n = probability(alpha, "alpha"), _above_zero(n, "n")
    if not (math.isfinite(sd) and sd >= 0.0):
        raise BadInputError("sd is out of range", got=sd, allowed="a finite number of zero or more")
    if one_sided and alpha >= 0.5:
        raise BadInputError("alpha is too large for a one-sided sequence", got=alpha, allowed="a number below 0.5")
    rho = asymptotic_rho(2.0 * alpha if one_sided else alpha, n_tuned)
    spread = n * rho**2 + 1.0
    level = math.log1p(math.sqrt(spread) / (2.0 * alpha)) if one_sided else math.log(math.sqrt(spread) / alpha)
    return sd * math.sqrt(2.0 * spread / (n * rho) ** 2 * level)


def asymptotic_p_value(z: float, n: float, alpha: float = 0.05, n_tuned: float = 5000.0) -> float:
    """p-value, valid at every look, of an estimate `z` standard errors from the null after `n` units.

    Below `alpha` exactly when the two-sided sequence tuned at `alpha` excludes the null.
    """
    share = _above_zero(n, "n") * asymptotic_rho(alpha, n_tuned) ** 2
    evidence = 0.5 * share / (1.0 + share) * z**2 - 0.5 * math.log1p(share)
    return math.exp(min(0.0, -evidence))


def normal_mixture_rho(v_opt: float, alpha_opt: float = 0.05, *, one_sided: bool = False) -> float:
    """The mixture parameter that makes a normal mixture narrowest at variance `v_opt`."""
    level = math.log(1.0 / probability(2.0 * alpha_opt if one_sided else alpha_opt, "alpha_opt"))
    return _above_zero(v_opt, "v_opt") / (2.0 * level + math.log(1.0 + 2.0 * level))


def normal_log_mixture(s: float, v: float, v_opt: float, alpha_opt: float = 0.05, *, one_sided: bool = False) -> float:
    """Log of the normal mixture supermartingale at sum `s` and variance `v` (sub-Gaussian sums)."""
    rho = normal_mixture_rho(v_opt, alpha_opt, one_sided=one_sided)
    two_sided = 0.5 * math.log(rho / (v + rho)) + s * s / (2.0 * (v + rho))
    if not one_sided:
        return two_sided
    return two_sided + math.log(2.0) + float(log_ndtr(s / math.sqrt(v + rho)))


def normal_mixture_bound(
    v: float, alpha: float, v_opt: float, alpha_opt: float = 0.05, *, one_sided: bool = False
) -> float:
    """The sum that the supermartingale of `normal_log_mixture` passes with probability at most `alpha`, ever."""
    level = math.log(1.0 / probability(alpha, "alpha"))
    if not one_sided:
        rho = normal_mixture_rho(v_opt, alpha_opt)
        return math.sqrt((v + rho) * (math.log1p(v / rho) + 2.0 * level))
    return _bound(lambda s, at: normal_log_mixture(s, at, v_opt, alpha_opt, one_sided=True), v, level)


def gamma_exponential_mixture_bound(v: float, alpha: float, v_opt: float, c: float, alpha_opt: float = 0.05) -> float:
    """Bound for sub-exponential sums with scale `c` (heavier tails than normal)."""
    rho = normal_mixture_rho(v_opt, alpha_opt, one_sided=True)
    ratio = rho / c**2
    constant = ratio * math.log(ratio) - gammaln(ratio) - math.log(gammainc(ratio, ratio))

    def log_mixture(s: float, at: float) -> float:
        shape, rate = (at + rho) / c**2, (c * s + at + rho) / c**2
        tail = gammaln(shape) + math.log(gammainc(shape, rate)) - shape * math.log(rate)
        return float(constant + tail + rate - ratio)

    return _bound(log_mixture, v, math.log(1.0 / probability(alpha, "alpha")))


def beta_binomial_log_mixture(
    s: float, v: float, v_opt: float, g: float, h: float, alpha_opt: float = 0.05, *, one_sided: bool = True
) -> float:
    """Log of the beta-binomial mixture for sums of steps in [-g, h] with mean zero (shares: g = p, h = 1 - p)."""
    r = max(normal_mixture_rho(v_opt, alpha_opt, one_sided=one_sided) - g * h, 1e-3 * g * h)
    x = h / (g + h) if one_sided else 1.0
    base = _log_incomplete_beta(r / (g * (g + h)), r / (h * (g + h)), x)
    here = _log_incomplete_beta((r + v - g * s) / (g * (g + h)), (r + v + h * s) / (h * (g + h)), x)
    up, down = (v + h * s) / (h * (g + h)), (v - g * s) / (g * (g + h))
    return v / (g * h) * math.log(g + h) - up * math.log(g) - down * math.log(h) + here - base


def beta_binomial_mixture_bound(
    v: float, alpha: float, v_opt: float, g: float, h: float, alpha_opt: float = 0.05, *, one_sided: bool = True
) -> float:
    """Bound on sums of bounded steps from `beta_binomial_log_mixture`; at most v/g, which no sum exceeds."""
    level = math.log(1.0 / probability(alpha, "alpha"))
    return _bound(
        lambda s, at: beta_binomial_log_mixture(s, at, v_opt, g, h, alpha_opt, one_sided=one_sided), v, level, v / g
    )


def poly_stitching_bound(
    v: float, alpha: float, v_min: float, c: float = 0.0, s: float = 1.4, eta: float = 2.0
) -> float:
    """Stitched bound of the order of √(v log log v) for sub-gamma sums with scale `c`, from variance `v_min` on."""
    k1 = (eta**0.25 + eta**-0.25) / math.sqrt(2.0)
    k2 = (math.sqrt(eta) + 1.0) / 2.0
    use = max(v, v_min)
    level = s * math.log(math.log(eta * use / v_min)) + math.log(zeta(s) / math.log(eta) ** s)
    level += math.log(1.0 / probability(alpha, "alpha"))
    return math.sqrt(k1**2 * use * level + (k2 * c * level) ** 2) + k2 * c * level


def bernoulli_interval(
    successes: float, trials: float, alpha: float = 0.05, t_opt: float = 100.0, alpha_opt: float = 0.05
) -> tuple[float, float]:
    """Confidence sequence for a share: an interval that holds at every number of trials at once.

    Narrowest near `t_opt` trials. Non-asymptotic: it holds from the first trial on.
    """
    if not (trials > 0 and 0 <= successes <= trials and math.isfinite(trials)):
        raise BadInputError("impossible counts", got=f"{successes} of {trials}", allowed="0 ≤ successes ≤ trials, > 0")
    level, share = math.log(1.0 / probability(alpha, "alpha")), successes / trials

    def excess(p: float) -> float:
        v = p * (1.0 - p)
        return (
            beta_binomial_log_mixture(
                (share - p) * trials, v * trials, v * t_opt, p, 1.0 - p, alpha_opt, one_sided=False
            )
            - level
        )

    edge = 1e-12
    inside = min(max(share, edge), 1.0 - edge)
    lower = optimize.brentq(excess, edge, inside, xtol=1e-14) if share > edge and excess(edge) > 0.0 else 0.0
    upper = 1.0
    if share < 1.0 - edge and excess(1.0 - edge) > 0.0:
        upper = optimize.brentq(excess, inside, 1.0 - edge, xtol=1e-14)
    return float(lower), float(upper)


def _bound(log_mixture: LogMixture, v: float, level: float, largest: float | None = None) -> float:
    upper = v if largest is None else largest
    if largest is None:
        while log_mixture(upper, v) <= level:
            upper *= 2.0
    elif log_mixture(upper, v) < level:
        return upper
    return float(optimize.brentq(lambda s: log_mixture(s, v) - level, 0.0, upper, xtol=1e-12))


def _log_incomplete_beta(a: float, b: float, x: float) -> float:
    full = float(betaln(a, b))
    return full if x == 1.0 else full + float(np.log(betainc(a, b, x)))


def _above_zero(value: float, name: str) -> float:
    if not (math.isfinite(value) and value > 0.0):
        raise BadInputError(f"{name} is out of range", got=value, allowed="a finite number above zero")
    return float(value)
