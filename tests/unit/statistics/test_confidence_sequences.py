from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.statistics import confidence_sequences as cs


@given(trials=st.integers(1, 5000), share=st.floats(0, 1), alpha=st.floats(0.001, 0.3))
@settings(max_examples=60, deadline=None)
def test_bernoulli_interval_holds_the_share_and_is_wider_than_wilsons(trials: int, share: float, alpha: float) -> None:
    successes = round(share * trials)
    low, high = cs.bernoulli_interval(successes, trials, alpha)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    mirrored = cs.bernoulli_interval(trials - successes, trials, alpha)
    assert (1.0 - mirrored[1], 1.0 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_bernoulli_interval_covers_at_every_trial_at_once() -> None:
    rng = np.random.default_rng(0)
    share, missed = 0.2, 0
    for _ in range(80):
        wins = np.cumsum(rng.random(400) < share)
        missed += any(
            not low <= share <= high
            for n in range(5, 401, 25)
            for low, high in [cs.bernoulli_interval(int(wins[n - 1]), n, 0.1)]
        )
    assert missed <= 0.1 * 80


@given(v=st.floats(1.0, 1e4), alpha=st.floats(0.001, 0.3))
def test_bounds_are_where_the_mixtures_reach_one_over_alpha(v: float, alpha: float) -> None:
    for one_sided in (False, True):
        bound = cs.normal_mixture_bound(v, alpha, 100.0, one_sided=one_sided)
        log = cs.normal_log_mixture(bound, v, 100.0, one_sided=one_sided)
        assert log == pytest.approx(-np.log(alpha), abs=1e-6)


def test_normal_mixture_is_a_martingale_in_expectation() -> None:
    rng = np.random.default_rng(1)
    sums = rng.normal(0, np.sqrt(50), 100_000)
    for one_sided in (False, True):
        values = [np.exp(cs.normal_log_mixture(s, 50, 100, one_sided=one_sided)) for s in sums[:20_000]]
        assert np.mean(values) == pytest.approx(1.0, abs=0.1)


def test_heavier_tails_need_wider_bounds() -> None:
    normal = cs.normal_mixture_bound(100, 0.05, 100, one_sided=True)
    assert normal < cs.gamma_exponential_mixture_bound(100, 0.05, 100, 2) < cs.poly_stitching_bound(100, 0.05, 10, 3)


def test_bounded_steps_cannot_pass_their_largest_sum() -> None:
    assert cs.beta_binomial_mixture_bound(1.0, 0.001, 100, 0.2, 0.8) == pytest.approx(1.0 / 0.2)


@pytest.mark.parametrize(("successes", "trials"), [(5, 3), (-1, 3), (0, 0), (1, float("inf"))])
def test_impossible_counts_are_refused(successes: float, trials: float) -> None:
    with pytest.raises(BadInputError):
        cs.bernoulli_interval(successes, trials)
