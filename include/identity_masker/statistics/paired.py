"""Sequential comparison of two versions on the same inputs, pair by pair, by betting.

Values lie in [0, 1]. Against "the mean of x is at most 0" for x of at least -1, the capital ∏(1 + λ x) never grows on
average, whatever the distribution (Waudby-Smith & Ramdas, JRSS-B 86 (2024) 1-27, arXiv 2010.09686); here
averaged over bets λ. For values 0 and 1 it is McNemar's test made sequential: pairs that agree change nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.statistics.arm_noise import Floats
from identity_masker.statistics.samples import probability, sample

BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95])
BET_WEIGHTS = np.array([0.4, 0.4, 0.8, 0.8, 1.2, 2.0, 2.0, 1.6, 0.8]) / 10.0
# Candidate means of the interval: dense around the estimate, from 1e-4 to the ends.
STEPS_AWAY = np.geomspace(1e-4, 2.0, 120)


def log_worse(champion: Floats, candidate: Floats, tolerance: float = 1.0) -> Floats:
    """Log e-value against "the candidate's mean is at most `tolerance` times the champion's", after each pair."""
    first, second = _pairs(champion, candidate)
    _at_least_one(tolerance, "tolerance")
    return _capital((second - tolerance * first) / tolerance)


def log_not_worse(champion: Floats, candidate: Floats, margin: float) -> Floats:
    """Log e-value against "the candidate's mean is at least `margin` times the champion's", after each pair."""
    first, second = _pairs(champion, candidate)
    _at_least_one(margin, "margin")
    return _capital(margin * first - second)


def difference_interval(champion: Floats, candidate: Floats, alpha: float = 0.05) -> tuple[float, float, float]:
    """Mean of candidate - champion and its confidence sequence at level 1 - `alpha`."""
    first, second = _pairs(champion, candidate)
    alpha = probability(alpha, "alpha")
    values, repeats = np.unique(second - first, return_counts=True)
    mean = float(np.average(values, weights=repeats))
    ends = [-1.0, 1.0]
    for side, sign in enumerate((-1.0, 1.0)):
        for candidate_mean in mean + sign * STEPS_AWAY:
            if abs(candidate_mean) >= 1.0:
                break
            if _log_hedged(values, repeats, candidate_mean) >= np.log(1.0 / alpha):
                ends[side] = float(candidate_mean)
                break
    return mean, ends[0], ends[1]


def _capital(x: Floats) -> Floats:
    """Log of the mean over bets of ∏(1 + λ x), for x ≥ -1."""
    paths = np.cumsum(np.log1p(BETS[:, None] * x[None, :]), axis=1)
    largest = paths.max(axis=0)
    result: Floats = largest + np.log(BET_WEIGHTS @ np.exp(paths - largest))
    return result


def _log_hedged(values: Floats, repeats: NDArray[np.intp], mean: float) -> float:
    """Log capital of betting half on "above" and half on "below" `mean`."""
    away = values - mean
    up = np.log1p(BETS[:, None] * away / (1.0 + mean)) @ repeats
    down = np.log1p(-BETS[:, None] * away / (1.0 - mean)) @ repeats
    paths, weights = np.concatenate([up, down]), 0.5 * np.concatenate([BET_WEIGHTS, BET_WEIGHTS])
    return float(paths.max() + np.log(weights @ np.exp(paths - paths.max())))


def _pairs(champion: Floats, candidate: Floats) -> tuple[Floats, Floats]:
    first, second = sample(champion, "the champion's values"), sample(candidate, "the candidate's values")
    if first.shape != second.shape:
        raise BadInputError("the pairs are not complete", got=f"{first.size} and {second.size} values")
    for name, values in (("champion", first), ("candidate", second)):
        if np.any((values < 0.0) | (values > 1.0)):
            raise BadInputError(f"values of the {name} are out of range", allowed="numbers from 0 to 1")
    return first, second


def _at_least_one(value: float, name: str) -> None:
    if not (np.isfinite(value) and value >= 1.0):
        raise BadInputError(f"the {name} is out of range", got=value, allowed="a finite ratio of at least 1")
