from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.arm_noise import MULTIPLES, NoiseFilter, noise_grid


def one(value: float) -> np.ndarray:
    return np.array([value])


def test_without_noise_the_likelihood_ratio_is_the_binomial_one() -> None:
    seen = NoiseFilter(1, np.array([0.0, math.log(3.0)]), noise_grid(0.0, 0.8))
    seen.counts(one(5.0), one(9.0), one(100.0), one(1900.0))
    share = 3.0 * 100.0 / (3.0 * 100.0 + 1900.0)
    expected = stats.binom.logpmf(5, 14, share) - stats.binom.logpmf(5, 14, 0.05)
    assert seen.log_likelihood[0, :, 0] == pytest.approx([0.0, expected], abs=1e-12)


def test_a_look_without_events_or_without_an_arm_says_nothing() -> None:
    seen = NoiseFilter(1, np.array([0.0, 1.0]), noise_grid(0.2, 0.8))
    seen.counts(one(0.0), one(0.0), one(100.0), one(100.0))
    seen.counts(one(3.0), one(0.0), one(100.0), one(0.0))
    assert np.all(seen.log_likelihood == 0.0)


@pytest.mark.parametrize(("canary", "champion"), [(0, 3), (5, 9), (40, 60)])
def test_with_noise_one_look_integrates_over_it(canary: int, champion: int) -> None:
    grid = noise_grid(0.2, 0.8)
    seen = NoiseFilter(1, np.array([0.5]), grid)
    seen.counts(one(canary), one(champion), one(300.0), one(700.0))
    events, null = canary + champion, stats.binom.logpmf(canary, canary + champion, 0.3)
    for kind in np.flatnonzero((grid.sd > 0.0) & (grid.sd < 0.6)):

        def density(u: float, sd: float = float(grid.sd[kind])) -> float:
            share = 1.0 / (1.0 + math.exp(-(math.log(3.0 / 7.0) + 0.5 + u)))
            return float(stats.binom.pmf(canary, events, share) * stats.norm.pdf(u, scale=sd))

        exact = math.log(integrate.quad(density, -4.0, 4.0, points=[0.0])[0]) - null
        assert seen.log_likelihood[0, 0, kind] == pytest.approx(exact, abs=0.03)


def test_differences_have_the_likelihood_of_the_autoregressive_model() -> None:
    grid = noise_grid(0.3, 0.8)
    seen = NoiseFilter(1, np.array([0.4]), grid)
    differences, variances = [0.7, 0.2, -0.1, 0.9], [0.05, 0.02, 0.04, 0.03]
    for difference, variance in zip(differences, variances, strict=True):
        seen.shift(one(difference), one(variance), elapsed=0.5)
    lags = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    null = stats.multivariate_normal.logpdf(differences, np.zeros(4), np.diag(variances))
    for kind in range(grid.sd.size):
        keep = grid.correlation[kind] ** (0.5 if grid.by_clock[kind] else 1.0)
        covariance = grid.sd[kind] ** 2 * keep**lags + np.diag(variances)
        exact = stats.multivariate_normal.logpdf(differences, np.full(4, 0.4), covariance) - null
        assert seen.log_likelihood[0, 0, kind] == pytest.approx(exact, abs=1e-9)


def test_the_gain_measures_effects_on_another_scale() -> None:
    plain = NoiseFilter(1, np.array([0.8]), noise_grid(0.0, 0.8))
    scaled = NoiseFilter(1, np.array([0.2]), noise_grid(0.0, 0.8))
    plain.counts(one(7.0), one(20.0), one(100.0), one(400.0))
    scaled.counts(one(7.0), one(20.0), one(100.0), one(400.0), gain=one(4.0))
    assert plain.log_likelihood == pytest.approx(scaled.log_likelihood)


def test_streams_do_not_touch_each_other() -> None:
    both, alone = NoiseFilter(2, np.array([0.0, 1.0]), noise_grid(0.2, 0.8)), None
    alone = NoiseFilter(1, np.array([0.0, 1.0]), noise_grid(0.2, 0.8))
    for canary, champion in ((3.0, 8.0), (0.0, 5.0), (6.0, 7.0)):
        sizes = np.array([200.0, 10.0])
        both.counts(np.array([canary, 0.0]), np.array([champion, 4.0]), sizes, 9.0 * sizes)
        alone.counts(one(canary), one(champion), one(200.0), one(1800.0))
    assert both.log_likelihood[0] == pytest.approx(alone.log_likelihood[0])


def test_noise_of_zero_leaves_one_kind() -> None:
    assert noise_grid(0.0, 0.5).sd.tolist() == [0.0]
    assert noise_grid(0.1, 0.5).sd.size == 1 + 2 * len(MULTIPLES)


@pytest.mark.parametrize(("sd", "correlation"), [(-0.1, 0.5), (math.nan, 0.5), (0.1, 1.0), (0.1, -0.2)])
def test_impossible_noise_is_refused(sd: float, correlation: float) -> None:
    with pytest.raises(BadInputError, match="noise"):
        noise_grid(sd, correlation)
