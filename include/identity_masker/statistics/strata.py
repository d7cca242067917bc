"""Post-stratification: arms compared within strata that were known before exposure, and put together again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from identity_masker.errors import BadInputError
from identity_masker.statistics.effects import Effect, Level, adjusted_means, comparison, covariance, mean_level
from identity_masker.statistics.moments import Moments

Pair = tuple[Moments, Moments]


def post_stratified(strata: Sequence[Pair], scale: str = "absolute", *, adjusted: bool = False) -> Effect:
    """Effect of a mean, with each stratum's arms weighted to the stratum's share of all units.

    `strata`: (control, treatment) moments of each stratum; `adjusted`: column 1 is a covariate (CUPED within strata).
    Strata in which an arm has fewer than two units are pooled. The variance holds the sampling within strata and,
    for effects that differ between strata, that of the strata's shares. Source: Miratrix, Sekhon & Yu, JRSS B 75
    (2013) 369-396.
    """
    pairs = _usable(strata)
    total = sum(control.count + treatment.count for control, treatment in pairs)
    shares = np.array([(control.count + treatment.count) / total for control, treatment in pairs])
    levels = [adjusted_means(*pair) if adjusted else _means(pair) for pair in pairs]
    values = np.array([[control.value, treatment.value, control.plain] for control, treatment in levels])
    whole = shares @ values
    spread = np.einsum("s,sij->ij", shares**2, np.array([covariance(*pair) for pair in levels]))
    spread += np.einsum("s,si,sj->ij", shares, values - whole, values - whole) / total
    # Only the values enter the comparison; its variance is that of the strata together.
    control, treatment = (Level.unadjusted(float(whole[at]), 0.0, total) for at in (0, 1))
    estimate, gradient = comparison(control._replace(plain=float(whole[2])), treatment, scale)
    variance = float(gradient @ spread @ gradient)
    if not variance > 0.0:
        raise BadInputError("neither arm varies", got="a variance of zero", fix="check the metric: nothing to compare")
    return Effect(estimate, math.sqrt(variance), total - 2.0 * len(pairs), total)


def _means(pair: Pair) -> tuple[Level, Level]:
    return mean_level(pair[0]), mean_level(pair[1])


def _usable(strata: Sequence[Pair]) -> list[Pair]:
    """The strata with two units in both arms; the others pooled, into one of their own or into the smallest."""
    usable = [pair for pair in strata if min(pair[0].count, pair[1].count) >= 2]
    thin = [pair for pair in strata if min(pair[0].count, pair[1].count) < 2]
    if thin:
        pooled = thin[0]
        for pair in thin[1:]:
            pooled = _merged(pooled, pair)
        if min(pooled[0].count, pooled[1].count) < 2 and usable:
            smallest = min(range(len(usable)), key=lambda at: usable[at][0].count + usable[at][1].count)
            pooled = _merged(usable.pop(smallest), pooled)
        usable.append(pooled)
    if not usable or min(usable[-1][0].count, usable[-1][1].count) < 2:
        raise BadInputError("no stratum has two units in both arms", got=f"{len(strata)} strata")
    return usable


def _merged(one: Pair, other: Pair) -> Pair:
    return one[0].merged(other[0]), one[1].merged(other[1])
