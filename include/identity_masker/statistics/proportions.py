"""Shares of successes: intervals and tests for one and two of them."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import probability


class ProportionTest(NamedTuple):
    """z statistic (first minus second) and two-sided p-value."""

    statistic: float
    p_value: float


def wilson(successes: float, trials: float, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval for one share. Source: Wilson, JASA 22 (1927) 209-212."""
    _counts(successes, trials)
    z = float(stats.norm.isf(probability(alpha, "alpha") / 2.0))
    share, spread = successes / trials, z * z / trials
    centre = (share + spread / 2.0) / (1.0 + spread)
    half = math.sqrt(share * (1.0 - share) * spread + spread * spread / 4.0) / (1.0 + spread)
    # The ends are 0 and 1 exactly there, which rounding may miss.
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == trials else centre + half)


def agresti_caffo(
    successes1: float, trials1: float, successes2: float, trials2: float, alpha: float = 0.05
) -> tuple[float, float]:
    """Interval for share1 - share2, with one success and one failure added to each.

    Source: Agresti & Caffo, The American Statistician 54 (2000) 280-288.
    """
    _counts(successes1, trials1)
    _counts(successes2, trials2)
    z = float(stats.norm.isf(probability(alpha, "alpha") / 2.0))
    p1, p2 = (successes1 + 1.0) / (trials1 + 2.0), (successes2 + 1.0) / (trials2 + 2.0)
    half = z * math.sqrt(p1 * (1.0 - p1) / (trials1 + 2.0) + p2 * (1.0 - p2) / (trials2 + 2.0))
    return p1 - p2 - half, p1 - p2 + half


def newcombe(
    successes1: float, trials1: float, successes2: float, trials2: float, alpha: float = 0.05
) -> tuple[float, float]:
    """Interval for share1 - share2 from the two Wilson intervals. Source: Newcombe, Stat. Med. 17 (1998) 873-890."""
    low1, high1 = wilson(successes1, trials1, alpha)
    low2, high2 = wilson(successes2, trials2, alpha)
    p1, p2 = successes1 / trials1, successes2 / trials2
    return p1 - p2 - math.hypot(p1 - low1, high2 - p2), p1 - p2 + math.hypot(high1 - p1, p2 - low2)


def pooled_z(successes1: float, trials1: float, successes2: float, trials2: float) -> ProportionTest:
    """z test of equal shares, pooled variance. Raises `BadInputError` when none or all of the trials succeeded."""
    _counts(successes1, trials1)
    _counts(successes2, trials2)
    pooled = (successes1 + successes2) / (trials1 + trials2)
    variance = pooled * (1.0 - pooled) * (1.0 / trials1 + 1.0 / trials2)
    if variance <= 0.0:
        raise BadInputError("the shares do not vary", got=f"{successes1:g}/{trials1:g}, {successes2:g}/{trials2:g}")
    z = (successes1 / trials1 - successes2 / trials2) / math.sqrt(variance)
    return ProportionTest(z, float(2.0 * stats.norm.sf(abs(z))))


def _counts(successes: float, trials: float) -> None:
    if not (math.isfinite(trials) and trials > 0 and 0 <= successes <= trials):
        raise BadInputError("impossible counts", got=f"{successes} of {trials}", allowed="0 ≤ successes ≤ trials, > 0")
