from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics import effects, proportions, quantiles, strata
from identity_masker.statistics.moments import Moments, merge

columns = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=40)


@given(columns, columns, columns)
def test_moments_of_parts_add_up_to_those_of_the_whole(a, b, c) -> None:  # type: ignore[no-untyped-def]
    parts = [Moments.of(np.array(part)) for part in (a, b, c)]
    whole, merged = Moments.of(np.array(a + b + c)), merge(parts, 2)
    np.testing.assert_allclose(merged.mean, whole.mean, atol=1e-8)
    np.testing.assert_allclose(merged.scatter, whole.scatter, atol=1e-5, rtol=1e-9)


def test_absolute_effect_of_means_is_welchs_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.gamma(2, size=300), rng.gamma(2.2, size=200)
    effect = effects.difference(effects.mean_level(Moments.of(a)), effects.mean_level(Moments.of(b)))
    expected = stats.ttest_ind(b, a, equal_var=False)
    assert effect.p_value() == pytest.approx(expected.pvalue, rel=1e-10)
    assert effect.interval(0.1) == pytest.approx(expected.confidence_interval(0.9), rel=1e-10)


def coverage(draw, truth: float, runs: int = 600) -> float:  # type: ignore[no-untyped-def]
    hits = [low <= truth <= high for low, high in (draw(seed).interval() for seed in range(runs))]
    return float(np.mean(hits))


def test_relative_effect_covers() -> None:
    def draw(seed: int) -> effects.Effect:
        rng = np.random.default_rng(seed)
        arms = [Moments.of(rng.gamma(2, 1.0 * f, 400)) for f in (1.0, 1.1)]
        return effects.difference(*(effects.mean_level(arm) for arm in arms), "relative")

    assert coverage(draw, 0.1) == pytest.approx(0.95, abs=0.03)


def test_ratio_covers_when_events_come_in_clusters() -> None:
    def draw(seed: int) -> effects.Effect:
        rng = np.random.default_rng(seed)
        levels = []
        for share in (0.30, 0.33):
            events = rng.poisson(4, 500) + 1
            own = np.clip(rng.normal(share, 0.15, 500), 0, 1)
            levels.append(effects.ratio_level(Moments.of(rng.binomial(events, own), events)))
        return effects.difference(*levels)

    # E[clip(N(.33,.15))] - E[clip(N(.30,.15))] is .0297 up to clipping.
    truth = float(
        np.diff([np.clip(np.random.default_rng(9).normal(m, 0.15, 10**6), 0, 1).mean() for m in (0.3, 0.33)])[0]
    )
    assert coverage(draw, truth) == pytest.approx(0.95, abs=0.03)


def test_cuped_covers_and_narrows_by_the_correlation() -> None:
    widths = []

    def draw(seed: int) -> effects.Effect:
        rng = np.random.default_rng(seed)
        arms = []
        for shift in (0.0, 0.2):
            x = rng.normal(5, 1, 400)
            arms.append(Moments.of(x * 0.8 + rng.normal(0, 0.6, 400) + shift, x))
        plain = effects.difference(*(effects.mean_level(arm) for arm in arms))
        adjusted = effects.difference(*effects.adjusted_means(*arms))
        widths.append(adjusted.standard_error / plain.standard_error)
        return adjusted

    assert coverage(draw, 0.2) == pytest.approx(0.95, abs=0.03)
    assert np.mean(widths) == pytest.approx(0.6, abs=0.02)  # sqrt(1 - .8²)


def test_relative_cuped_effect_covers_below_zero_too() -> None:
    def draw(seed: int) -> effects.Effect:
        rng = np.random.default_rng(seed)
        arms = []
        for shift in (0.0, 0.5):
            x = rng.normal(-5, 1, 300)
            arms.append(Moments.of(x + rng.normal(0, 0.5, 300) + shift, x))
        return effects.difference(*effects.adjusted_means(*arms), "relative")

    assert coverage(draw, 0.1) == pytest.approx(0.95, abs=0.03)


def test_covariate_without_variance_adjusts_nothing() -> None:
    y = np.arange(10.0)
    arm = Moments.of(y, np.ones(10))
    assert effects.adjusted_means(arm, arm)[0][:2] == effects.mean_level(Moments.of(y))[:2]


def test_post_stratification_covers_and_removes_the_strata() -> None:
    widths = []

    def draw(seed: int) -> effects.Effect:
        rng = np.random.default_rng(seed)
        stratum, treated = rng.integers(0, 3, 900), rng.integers(0, 2, 900)
        y = stratum * 3.0 + rng.normal(0, 1, 900) + treated * 0.3
        pairs = [tuple(Moments.of(y[(stratum == s) & (treated == t)]) for t in (0, 1)) for s in range(3)]
        plain = effects.difference(*(effects.mean_level(Moments.of(y[treated == t])) for t in (0, 1)))
        found = strata.post_stratified(pairs)
        widths.append(found.standard_error / plain.standard_error)
        return found

    assert coverage(draw, 0.3) == pytest.approx(0.95, abs=0.03)
    assert np.mean(widths) == pytest.approx(1 / math.sqrt(7), abs=0.03)


def test_thin_strata_are_pooled() -> None:
    rng = np.random.default_rng(1)
    full = (Moments.of(rng.normal(size=50)), Moments.of(rng.normal(size=50)))
    thin = (Moments.of(rng.normal(size=1)), Moments.of(rng.normal(size=5)))
    assert strata.post_stratified([full, thin]).units == 106
    with pytest.raises(BadInputError):
        strata.post_stratified([thin])


def test_one_stratum_gives_the_plain_difference() -> None:
    rng = np.random.default_rng(2)
    pair = (Moments.of(rng.normal(3, 1, 60)), Moments.of(rng.normal(3.3, 1, 70)))
    for scale in effects.SCALES:
        plain = effects.difference(*(effects.mean_level(arm) for arm in pair), scale)
        assert strata.post_stratified([pair], scale)[:2] == pytest.approx(plain[:2], rel=1e-12)


def test_interaction_is_the_difference_of_effects() -> None:
    one, two = effects.Effect(0.1, 0.03, 100, 200), effects.Effect(0.3, 0.04, 100, 200)
    both = effects.interaction(one, two)
    assert both[:2] == pytest.approx((0.2, 0.05))


def test_effect_sizes() -> None:
    a, b = Moments.of([1.0, 2.0, 3.0, 4.0]), Moments.of([2.0, 3.0, 4.0, 5.0])
    assert effects.cohens_d(a, b) == pytest.approx(1 / math.sqrt(5 / 3))
    assert effects.hedges_g(a, b) < effects.cohens_d(a, b)


@pytest.mark.parametrize(
    "call",
    [
        lambda: effects.difference(*[effects.mean_level(Moments.of([1.0, 1.0]))] * 2),
        lambda: effects.mean_level(Moments.of([1.0])),
        lambda: effects.difference(effects.Level.unadjusted(0, 1, 9), effects.Level.unadjusted(1, 1, 9), "relative"),
        lambda: effects.difference(effects.Level.unadjusted(0, 1, 9), effects.Level.unadjusted(1, 1, 9), "bent"),
        lambda: effects.difference(effects.Level.unadjusted(0, 1, 1), effects.Level.unadjusted(1, 1, 9)),
        lambda: effects.ratio_level(Moments.of([1.0, 2.0], [0.0, 0.0])),
        lambda: Moments.of([1.0, float("nan")]),
        lambda: Moments.of([]),
        lambda: Moments.of([1.0]).merged(Moments.of([1.0], [2.0])),
        lambda: quantiles.sample_quantile([1.0, 2.0, 3.0], 0.99),
        lambda: quantiles.sample_quantile([1.0] * 100, 0.5),
        lambda: proportions.wilson(3, 2),
        lambda: proportions.pooled_z(0, 10, 0, 10),
    ],
)
def test_effects_that_cannot_be_told_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInputError):
        call()


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.001, 0.5))
def test_wilson_holds_the_share_and_agrees_with_scipy(successes: int, trials: int, alpha: float) -> None:
    successes = min(successes, trials)
    expected = stats.binomtest(successes, trials).proportion_ci(1 - alpha, method="wilson")
    assert proportions.wilson(successes, trials, alpha) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_newcombe_of_its_paper() -> None:
    # Newcombe (1998), table II: 56/70 - 48/80, method 10: .0524 to .3339.
    assert proportions.newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_quantile_interval_covers() -> None:
    truth = float(stats.gamma(2).ppf(0.9))

    def draw(seed: int) -> effects.Effect:
        rng = np.random.default_rng(seed)
        level = quantiles.sample_quantile(rng.gamma(2, size=800), 0.9)
        return effects.Effect(level.value, math.sqrt(level.variance), 1e9, 800)

    assert coverage(draw, truth) == pytest.approx(0.95, abs=0.03)


def test_clustered_quantile_covers_where_the_plain_one_does_not() -> None:
    def draw(seed: int, *, clustered: bool) -> effects.Effect:
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 9, 200)
        own = np.repeat(rng.normal(0, 1, 200), sizes)
        values = own + rng.normal(0, 0.5, own.size)
        ordered = np.quantile(values, quantiles.bracket(0.5, values.size))
        user = np.repeat(np.arange(200), sizes)
        below = np.bincount(user, values < ordered[1], 200)
        inflation = quantiles.cluster_inflation(Moments.of(below, sizes), 0.5) if clustered else 1.0
        level = quantiles.quantile_level(values.size, ordered[1], ordered[0], ordered[2], inflation=inflation)
        return effects.Effect(level.value, math.sqrt(level.variance), 1e9, 200)

    assert coverage(lambda seed: draw(seed, clustered=True), 0.0) == pytest.approx(0.95, abs=0.03)
    assert coverage(lambda seed: draw(seed, clustered=False), 0.0) < 0.8


@given(st.integers(5, 60), st.integers(5, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_sequential_quantile_test_is_symmetric_and_takes_ties(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 9, n), rng.integers(2, 11, m)
    p = quantiles.sequential_quantile_p_value(a, b, 0.5)
    assert 0.0 < p <= 1.0
    assert p == pytest.approx(quantiles.sequential_quantile_p_value(b, a, 0.5), rel=1e-9)
    assert quantiles.sequential_quantile_p_value(a, a, 0.5) == 1.0
