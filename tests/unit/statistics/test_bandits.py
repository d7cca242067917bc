from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics import adaptive, bandits, bayes

arms = st.lists(st.tuples(st.floats(-5, 5), st.floats(0.001, 3)), min_size=1, max_size=6)


@given(arms)
@settings(max_examples=60, deadline=None)
def test_probabilities_sum_to_one_and_mirror_when_lower_is_better(pairs: list[tuple[float, float]]) -> None:
    mean, sd = np.array(pairs).T
    best = bandits.p_best(mean, sd)
    assert best.sum() == pytest.approx(1.0)
    raw = sum(bandits._win(arm, mean, sd, power=0) for arm in range(mean.size))
    assert raw == pytest.approx(1.0, abs=1e-8)  # the integrals themselves sum to 1 before they are normalised
    np.testing.assert_allclose(bandits.p_best(-mean, sd, lower_is_better=True), best, atol=1e-12)


@given(st.floats(-3, 3), st.floats(0.0001, 2), st.floats(-3, 3), st.floats(0.0001, 2))
def test_two_arms_have_a_closed_form(m0: float, s0: float, m1: float, s1: float) -> None:
    z = (m0 - m1) / np.hypot(s0, s1)
    assert bandits.p_best([m0, m1], [s0, s1])[0] == pytest.approx(stats.norm.cdf(z), abs=1e-8)
    gap = bayes.posterior(m1 - m0, float(np.hypot(s0, s1)))
    regret = bandits.expected_regret([m0, m1], [s0, s1])
    assert regret == pytest.approx([gap.expected_loss_of_keeping(), gap.expected_loss()], abs=1e-7)


def test_lower_is_better_gives_the_traffic_to_the_lowest() -> None:
    # GrowthBook's `inverse` gives the best of these arms the floor (stats.md §4c).
    weights = bandits.allocate([1.0, 1.2, 0.5, 0.9], [0.05] * 4, lower_is_better=True)
    assert weights.argmax() == 2
    assert weights[2] == pytest.approx(0.01 + 0.96 * 0.5, abs=1e-3)
    assert bandits.allocate([1.0, 1.2], [0.1, 0.1], lower_is_better=True)[0] > 0.5


@given(arms, st.floats(0.1, 1.0))
@settings(max_examples=40, deadline=None)
def test_top_two_weights_follow_the_sampling_rule(pairs: list[tuple[float, float]], beta: float) -> None:
    mean, sd = np.array(pairs).T
    best = bandits.p_best(mean, sd)
    weights = bandits.top_two_weights(best, beta)
    assert weights.sum() == pytest.approx(1.0)
    if mean.size > 1:
        assert weights.max() <= max(beta, 0.5) + 0.5 * (1 - beta) + 1e-9


def test_top_two_weights_agree_with_simulated_sampling() -> None:
    rng = np.random.default_rng(0)
    mean, sd = np.array([0.0, 0.1, 0.25]), np.array([0.2, 0.1, 0.15])
    chosen = np.zeros(3)
    for _ in range(20_000):
        first = np.argmax(rng.normal(mean, sd))
        if rng.random() < 0.5:
            chosen[first] += 1
            continue
        while (second := np.argmax(rng.normal(mean, sd))) == first:
            pass
        chosen[second] += 1
    np.testing.assert_allclose(bandits.top_two_weights(bandits.p_best(mean, sd)), chosen / 20_000, atol=0.012)


def test_vetoed_arms_get_nothing_and_the_rest_keep_their_floor() -> None:
    weights = bandits.allocate([5.0, 1.0, 1.1], [0.1, 0.1, 0.1], floor=0.1, vetoed=[0])
    assert weights[0] == 0.0
    assert weights.sum() == pytest.approx(1.0)
    assert weights[1] >= 0.1
    with pytest.raises(BadInputError):
        bandits.allocate([1.0], [0.1], vetoed=[0])


@pytest.mark.parametrize(
    "call",
    [
        lambda: bandits.p_best([1, 2], [0.1]),
        lambda: bandits.p_best([1, 2], [0.1, 0.0]),
        lambda: bandits.p_best([1, float("nan")], [0.1, 0.1]),
        lambda: bandits.top_two_weights([0.5, 0.6]),
        lambda: bandits.top_two_weights([0.5, 0.5], beta=0.0),
        lambda: bandits.with_floor([0.0, 0.0], 0.1),
        lambda: bayes.posterior(1.0, 0.0),
        lambda: bayes.posterior(1.0, 1.0, prior_sd=0.0),
        lambda: bayes.chance_of_higher_share(5, 3, 1, 2),
        lambda: adaptive.Periods.of(np.ones((2, 2)), np.ones((2, 3)), np.ones((2, 2)), np.ones((2, 2))),
        lambda: adaptive.Periods.of(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2)), np.full((2, 2), 1.5)),
    ],
)
def test_numbers_that_make_no_sense_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInputError):
        call()


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_chances_of_two_shares_sum_to_one(a: int, b: int, n: int, m: int) -> None:
    a, b = min(a, n), min(b, m)
    forward = bayes.chance_of_higher_share(a, n, b, m)
    assert forward + bayes.chance_of_higher_share(b, m, a, n) == pytest.approx(1.0, abs=1e-9)


def test_chance_is_exact_when_one_share_is_known_far_better_than_the_other() -> None:
    # a ~ Beta(11, 10^6 - 9), b ~ Beta(1, 4): P(b > a) = E[(1 - a)^4] = Π (β + k) / (α + β + k).
    beta = 10**6 - 9
    expected = np.prod([(beta + k) / (beta + 11 + k) for k in range(4)])
    assert bayes.chance_of_higher_share(10, 10**6, 0, 3) == pytest.approx(expected, abs=1e-11)


def simulated_bandit(runs: int, seed: int) -> adaptive.Periods:
    """Ten periods of 200 units, two arms alike; shares follow Thompson sampling on the means so far."""
    rng = np.random.default_rng(seed)
    shape = (runs, 10, 2)
    counts, means, scatters, shares = (np.zeros(shape) for _ in range(4))
    total, summed, share = np.zeros((runs, 2)), np.zeros((runs, 2)), np.full(runs, 0.5)
    for t in range(10):
        shares[:, t, 1], shares[:, t, 0] = share, 1 - share
        counts[:, t, 1] = rng.binomial(200, share)
        counts[:, t, 0] = 200 - counts[:, t, 1]
        means[:, t] = rng.normal(0, 1 / np.sqrt(np.maximum(counts[:, t], 1)))
        scatters[:, t] = rng.chisquare(np.maximum(counts[:, t] - 1, 1))
        total += counts[:, t]
        summed += counts[:, t] * means[:, t]
        gap = summed[:, 1] / total[:, 1] - summed[:, 0] / total[:, 0]
        share = np.clip(stats.norm.cdf(gap / np.sqrt(1 / total[:, 1] + 1 / total[:, 0])), 0.05, 0.95)
    return adaptive.Periods.of(counts, means, scatters, shares)


def test_batched_estimate_covers_under_adaptive_shares_where_the_naive_mean_is_biased() -> None:
    periods = simulated_bandit(4000, 1)
    estimate, variance, _ = adaptive.batched_estimates(periods, 0, 1)
    covered = np.abs(estimate) <= stats.norm.isf(0.025) * np.sqrt(variance)
    assert covered.mean() == pytest.approx(0.95, abs=0.012)
    assert abs(estimate.mean()) < 4 * estimate.std() / np.sqrt(4000)
    total = periods.counts.sum(axis=1)
    naive = ((periods.counts * periods.means).sum(axis=1) / total)[:, 0]
    assert naive.mean() < -8 * naive.std() / np.sqrt(4000)


def test_one_period_is_the_plain_difference() -> None:
    periods = adaptive.Periods.of([[50, 60]], [[1.0, 1.5]], [[40.0, 70.0]], [[0.5, 0.5]])
    found = adaptive.batched_effect(periods, 0, 1)
    assert found[:2] == pytest.approx((0.5, np.sqrt(40 / 49 / 50 + 70 / 59 / 60)))


def test_periods_without_two_units_an_arm_are_left_out() -> None:
    periods = adaptive.Periods.of([[50, 60], [99, 1]], [[1.0, 1.5], [0, 9e9]], [[40, 70], [9, 0]], [[0.5, 0.5]] * 2)
    assert adaptive.batched_effect(periods, 0, 1).estimate == pytest.approx(0.5)
    with pytest.raises(BadInputError):
        adaptive.batched_effect(adaptive.Periods.of([[1, 9]], [[0, 0]], [[0, 0]], [[0.5, 0.5]]), 0, 1)
