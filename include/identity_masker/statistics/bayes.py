"""The Bayesian reading of an effect, beside the test: chance to win and expected loss."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import betaln

from identity_masker.errors import BadInputError
from identity_masker.statistics.quadrature import quadrature_between
from identity_masker.statistics.samples import probability

# Panels end at these quantiles of both shares: each is narrow where either density moves.
TAILS = np.array([1e-14, 1e-11, 1e-8, 1e-6, 1e-4])
LEVELS = np.concatenate([[1e-17], TAILS, np.linspace(0.002, 0.998, 60), 1.0 - TAILS])


class Posterior(NamedTuple):
    """Normal posterior of an effect (treatment minus control)."""

    mean: float
    sd: float

    def chance_to_win(self, *, lower_is_better: bool = False) -> float:
        """P(the treatment is better)."""
        z = self.mean / self.sd
        return float(stats.norm.cdf(-z if lower_is_better else z))

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """Central credible interval with probability 1 - alpha."""
        half = float(stats.norm.isf(probability(alpha, "alpha") / 2.0)) * self.sd
        return self.mean - half, self.mean + half

    def expected_loss(self, *, lower_is_better: bool = False) -> float:
        """Expected loss of shipping the treatment: mean of the harm, counted as 0 where there is none."""
        mean = -self.mean if lower_is_better else self.mean
        z = mean / self.sd
        return float(self.sd * stats.norm.pdf(z) - mean * stats.norm.cdf(-z))

    def expected_loss_of_keeping(self, *, lower_is_better: bool = False) -> float:
        """Expected loss of keeping the control: mean of the benefit forgone."""
        return self.expected_loss(lower_is_better=not lower_is_better)


def posterior(estimate: float, standard_error: float, prior_mean: float = 0.0, prior_sd: float = math.inf) -> Posterior:
    """Posterior of an effect from its estimate and a normal prior; an infinite `prior_sd` is the flat prior."""
    if not (math.isfinite(standard_error) and standard_error > 0.0 and math.isfinite(estimate)):
        raise BadInputError("the estimate is not usable", got=f"{estimate} with standard error {standard_error}")
    if not prior_sd > 0.0:
        raise BadInputError("the prior's deviation is out of range", got=prior_sd, allowed="a number above zero")
    data, prior = standard_error**-2, prior_sd**-2
    return Posterior((estimate * data + prior_mean * prior) / (data + prior), (data + prior) ** -0.5)


def chance_of_higher_share(
    successes_a: float,
    trials_a: float,
    successes_b: float,
    trials_b: float,
    prior: tuple[float, float] = (1.0, 1.0),
) -> float:
    """P(share b > share a) with independent Beta priors; exact by quadrature to about 1e-12."""
    shapes = []
    for successes, trials in ((successes_a, trials_a), (successes_b, trials_b)):
        if not (math.isfinite(trials) and 0 <= successes <= trials):
            raise BadInputError("impossible counts", got=f"{successes} of {trials}", allowed="0 ≤ successes ≤ trials")
        shapes.append((prior[0] + successes, prior[1] + trials - successes))
    (a1, a2), (b1, b2) = shapes
    shares = np.concatenate([stats.beta.ppf(LEVELS, a1, a2), stats.beta.ppf(LEVELS, b1, b2)])
    edges = np.unique(shares[(shares > 0.0) & (shares < 1.0)])
    nodes, weights = quadrature_between(edges)
    log_density = (b1 - 1.0) * np.log(nodes) + (b2 - 1.0) * np.log1p(-nodes) - betaln(b1, b2)
    return float(min(1.0, weights @ (np.exp(log_density) * stats.beta.cdf(nodes, a1, a2))))
