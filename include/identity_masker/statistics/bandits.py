"""Which arm is best, how sure that is, and how to share out the traffic: top-two Thompson sampling without sampling.

All probabilities are exact integrals over independent normal posteriors of the arms' means: no Monte-Carlo noise, no
seed, and the allocation can be computed again from its record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from identity_masker.errors import BadInputError
from identity_masker.statistics.quadrature import quadrature_between
from identity_masker.statistics.samples import Floats, sample

REACH = 9.0
# Where a much narrower arm's distribution function rises, in its own deviations.
RISE = np.array([-8.5, -6.0, -4.5, -3.5, -2.5, -1.5, -0.75, 0.0, 0.75, 1.5, 2.5, 3.5, 4.5, 6.0, 8.5])


def p_best(mean: ArrayLike, sd: ArrayLike, *, lower_is_better: bool = False) -> Floats:
    """Probability of each arm to be the best, from independent N(mean, sd²) posteriors. Accuracy about 1e-10."""
    means, deviations = _posteriors(mean, sd, lower_is_better)
    result = np.array([_win(arm, means, deviations, power=0) for arm in range(means.size)])
    normalised: Floats = result / result.sum()
    return normalised


def expected_regret(mean: ArrayLike, sd: ArrayLike, *, lower_is_better: bool = False) -> Floats:
    """What choosing each arm loses on average against the best: E[max over arms] - mean."""
    means, deviations = _posteriors(mean, sd, lower_is_better)
    # Moments about the largest mean: nothing cancels.
    top = float(means.max())
    best = sum(_win(arm, means - top, deviations, power=1) for arm in range(means.size))
    regret: Floats = np.maximum(best - (means - top), 0.0)
    return regret


def top_two_weights(best: ArrayLike, beta: float = 0.5) -> Floats:
    """Allocation of top-two Thompson sampling: with `beta` the sampled best arm, else the best of the others.

    `best`: P(best) of each arm. Arm i gets P_i·(beta + (1 - beta)·Σ_{j≠i} P_j / (1 - P_j)).
    Source: Russo, Operations Research 68 (2020) 1625-1647.
    """
    p = sample(best, "P(best)", at_least=1)
    if np.any(p < 0.0) or abs(p.sum() - 1.0) > 1e-6:
        raise BadInputError("P(best) is not a distribution", got=p.tolist(), allowed="numbers of zero or more, sum 1")
    if not 0.0 < beta <= 1.0:
        raise BadInputError("beta is out of range", got=beta, allowed="above 0, at most 1")
    if p.size == 1:
        return np.ones(1)
    weights = beta * p
    for leader in range(p.size):
        others = np.delete(p, leader)
        rest = float(others.sum())
        # A leader that is certain leaves no order among the others: they share alike.
        second = others / rest if rest > 0.0 else np.full(others.size, 1.0 / others.size)
        weights[np.arange(p.size) != leader] += (1.0 - beta) * p[leader] * second
    normalised: Floats = weights / weights.sum()
    return normalised


def with_floor(weights: ArrayLike, floor: float) -> Floats:
    """Weights raised so that no arm has less than `floor`: floor + (1 - n·floor)·w; uniform when n·floor ≥ 1."""
    w = sample(weights, "the weights")
    if np.any(w < 0.0) or not w.sum() > 0.0:
        raise BadInputError("weights are out of range", got=w.tolist(), allowed="numbers of zero or more, not all 0")
    shares: Floats = w / w.sum()
    least = max(0.0, floor)
    if w.size * least >= 1.0:
        return np.full(w.size, 1.0 / w.size)
    return least + (1.0 - w.size * least) * shares


def allocate(
    mean: ArrayLike,
    sd: ArrayLike,
    *,
    lower_is_better: bool = False,
    beta: float | None = None,
    floor: float = 0.01,
    vetoed: Sequence[int] = (),
) -> Floats:
    """Weights of all arms: top-two Thompson among the arms that no guardrail vetoes, each with at least `floor`.

    Vetoed arms get 0. Without `beta`: a half, and 1 (plain Thompson sampling) for two arms, which a half would share
    out evenly whatever the data say. Raises `BadInputError` when every arm is vetoed.
    """
    means, deviations = _posteriors(mean, sd, lower_is_better)
    allowed = np.array([arm for arm in range(means.size) if arm not in set(vetoed)], dtype=np.intp)
    if not allowed.size:
        raise BadInputError("every arm is vetoed by a guardrail", fix="stop the experiment")
    if beta is None:
        beta = 0.5 if allowed.size > 2 else 1.0
    weights = np.zeros(means.size)
    weights[allowed] = with_floor(top_two_weights(p_best(means[allowed], deviations[allowed]), beta), floor)
    return weights


def _win(arm: int, means: Floats, deviations: Floats, *, power: int) -> float:
    """∫ x^power · density of `arm` at x · P(all others < x) dx."""
    others = np.arange(means.size) != arm
    places = (means[others] - means[arm]) / deviations[arm]
    rises = places[:, None] + RISE * (deviations[others] / deviations[arm])[:, None]
    edges = np.unique(np.clip(np.concatenate([np.linspace(-REACH, REACH, 25), rises.ravel()]), -REACH, REACH))
    u, weights = quadrature_between(edges, 12)
    mass = weights * np.exp(-0.5 * u * u) / np.sqrt(2.0 * np.pi)
    x = means[arm] + deviations[arm] * u
    below = np.prod(ndtr((x[:, None] - means[others]) / deviations[others]), axis=1)
    return float(np.sum(mass * below * x**power))


def _posteriors(mean: ArrayLike, sd: ArrayLike, lower_is_better: bool) -> tuple[Floats, Floats]:
    means, deviations = sample(mean, "the means"), sample(sd, "the deviations")
    if means.size != deviations.size:
        raise BadInputError("means and deviations differ in length", got=f"{means.size} and {deviations.size}")
    if np.any(deviations <= 0.0):
        raise BadInputError("deviations are out of range", got=deviations.tolist(), allowed="numbers above zero")
    return (-means if lower_is_better else means), deviations
