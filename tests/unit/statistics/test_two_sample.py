from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics import ranks, two_sample

values = st.lists(st.floats(-100, 100), min_size=2, max_size=40)
whole = st.lists(st.integers(-5, 5), min_size=2, max_size=30)


@given(values, values)
@settings(max_examples=60, deadline=None)
def test_ks_and_wasserstein_agree_with_scipy(a: list[float], b: list[float]) -> None:
    assert two_sample.ks(a, b).statistic == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
    assert two_sample.wasserstein(a, b, permutations=1).statistic == pytest.approx(
        stats.wasserstein_distance(a, b), abs=1e-9
    )


@given(whole, whole)
@settings(max_examples=80, deadline=None)
def test_mann_whitney_agrees_with_scipy_and_the_shift_is_the_median_difference(a: list[int], b: list[int]) -> None:
    if len({*a, *b}) < 2:
        return
    found, expected = two_sample.mann_whitney(a, b), stats.mannwhitneyu(a, b)
    assert found.statistic == expected.statistic
    assert found.p_value == pytest.approx(min(1.0, expected.pvalue), abs=1e-12)
    differences = np.subtract.outer(a, b).ravel()
    assert found.shift == np.median(differences)
    assert found.interval[0] <= found.shift <= found.interval[1]
    assert {*found.interval} <= {*differences.astype(float)}


def test_mann_whitney_of_netflix_and_r() -> None:
    # kayenta-mannwhitney, tie-out with R's wilcox.test(conf.int = TRUE, conf.level = .98).
    found = two_sample.mann_whitney([10, 20, 30, 40], [1, 2, 3, 4], 0.98)
    assert (found.shift, found.interval) == (22.5, (6.0, 39.0))
    assert found.confidence == pytest.approx(1 - 2 / math.comb(8, 4))


def test_exact_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(500):
        found = two_sample.mann_whitney(rng.exponential(size=6) + 1.0, rng.exponential(size=7), 0.9)
        covered.append(found.interval[0] <= 1.0 <= found.interval[1])
    assert np.mean(covered) == pytest.approx(found.confidence, abs=0.035)
    assert found.confidence >= 0.9


@given(scale=st.sampled_from([1e-6, 1e-3, 1e3, 1e6]))
def test_mann_whitney_scales_with_the_data(scale: float) -> None:
    rng = np.random.default_rng(6)
    a, b = rng.lognormal(size=60), rng.lognormal(0.2, size=50)
    base, scaled = two_sample.mann_whitney(a, b), two_sample.mann_whitney(a * scale, b * scale)
    assert scaled.p_value == base.p_value
    assert np.array(scaled.interval) / scale == pytest.approx(np.array(base.interval), rel=1e-9)


def test_many_pairs_are_not_held_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=83).round(1), rng.normal(size=71).round(1)
    held = two_sample.mann_whitney(a, b)
    monkeypatch.setattr(ranks, "PAIRS_AT_ONCE", 10)
    searched = two_sample.mann_whitney(a, b)
    assert searched.shift == pytest.approx(held.shift, abs=1e-12)
    assert searched.interval == pytest.approx(held.interval, abs=1e-12)


def test_all_tied_values_show_no_shift() -> None:
    assert two_sample.mann_whitney([3, 3], [3, 3, 3])[:4] == (3.0, 1.0, 0.0, (0.0, 0.0))


@given(values, st.integers(2, 12))
def test_psi_of_a_sample_with_itself_is_zero(a: list[float], bins: int) -> None:
    assert two_sample.psi(a, a, bins).statistic == pytest.approx(0.0, abs=1e-12)
    assert two_sample.psi(a, a, bins).p_value == pytest.approx(1.0)


def test_psi_follows_its_definition_on_numpy_histograms() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=5000), rng.normal(0.1, 1.1, size=3000)
    edges = np.quantile(a, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    p, q = np.histogram(a, edges)[0] / 5000, np.histogram(b, edges)[0] / 3000
    assert two_sample.psi(a, b, 10).statistic == pytest.approx(np.sum((q - p) * np.log(q / p)), rel=1e-12)


def test_psi_p_value_is_calibrated() -> None:
    rng = np.random.default_rng(9)
    p = np.array([two_sample.psi(*rng.normal(size=(2, 400)), 10).p_value for _ in range(600)])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.025)


@pytest.mark.parametrize("now", [[7.0] * 50, [3.0] * 50])
def test_psi_of_a_constant_reference_sees_that_it_moved(now: list[float]) -> None:
    found = two_sample.psi([5.0] * 50, now)
    assert found.statistic > 1.0
    assert found.p_value < 1e-6
    assert two_sample.psi([5.0] * 50, [5.0] * 50).statistic == 0.0


def test_psi_of_a_reference_that_is_mostly_one_value_sees_a_change() -> None:
    a = np.array([0.0] * 95 + [1.0] * 5)
    assert two_sample.psi(a, 1.0 - a).p_value < 1e-6
    assert two_sample.psi(1.0 - a, a).p_value < 1e-6


def test_permutation_p_values_are_calibrated_and_never_zero() -> None:
    rng = np.random.default_rng(10)
    p = [two_sample.wasserstein(*rng.lognormal(size=(2, 30)), permutations=99, seed=s).p_value for s in range(400)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.05)
    assert two_sample.wasserstein(np.zeros(9) + np.arange(9), np.arange(9) + 100.0, 99).p_value == 0.01


def test_mmd_is_calibrated_and_finds_a_shift() -> None:
    rng = np.random.default_rng(11)
    same = [two_sample.mmd(*rng.normal(size=(2, 25, 3)), permutations=99, seed=s).p_value for s in range(200)]
    assert np.mean(np.array(same) <= 0.1) == pytest.approx(0.1, abs=0.06)
    moved = two_sample.mmd(rng.normal(size=(80, 3)), rng.normal(0.8, size=(90, 3)), 199)
    assert moved.p_value == 0.005
    assert moved.statistic > 0.01


def test_mmd_follows_its_definition() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.normal(size=(12, 2)), rng.normal(1.0, size=(9, 2))

    def k(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.exp(-((x[:, None] - y[None]) ** 2).sum(-1) / (2 * 0.7**2))

    inside = (k(a, a).sum() - 12) / (12 * 11) + (k(b, b).sum() - 9) / (9 * 8)
    assert two_sample.mmd(a, b, 1, bandwidth=0.7).statistic == pytest.approx(inside - 2 * k(a, b).mean(), abs=1e-6)


def test_mmd_of_constant_samples_shows_nothing_or_everything() -> None:
    assert two_sample.mmd(np.ones((5, 2)), np.ones((6, 2)), 9).p_value == 1.0
    assert two_sample.mmd(np.ones((9, 2)), np.zeros((9, 2)), 99).p_value <= 0.02


@pytest.mark.parametrize(
    "test", [two_sample.ks, two_sample.psi, two_sample.wasserstein, two_sample.mann_whitney, two_sample.mmd]
)
@pytest.mark.parametrize("bad", [[], [float("nan"), 1.0], [float("inf"), 1.0], ["a", "b"], None])
def test_samples_that_cannot_be_compared_are_refused(test, bad) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInputError):
        test([1.0, 2.0, 3.0], bad)
    with pytest.raises(BadInputError):
        test(bad, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "call",
    [
        lambda: two_sample.psi([1, 2, 3], [1, 2, 3], 1),
        lambda: two_sample.psi([1, 2, 3], [1, 2, 3], [2.0, 1.0]),
        lambda: two_sample.psi([1.0], [1.0, 2.0]),
        lambda: two_sample.psi_of_shares([0.5, 0.5], [1.0, 0.0]),
        lambda: two_sample.mmd(np.ones((5, 2)), np.ones((5, 3))),
        lambda: two_sample.mmd(np.ones((1, 2)), np.ones((5, 2))),
        lambda: two_sample.wasserstein([1, 2], [1, 2], permutations=0),
        lambda: two_sample.mann_whitney([1, 2], [3, 4], 1.0),
        lambda: two_sample.jensen_shannon([0, 0], [1, 0]),
    ],
)
def test_impossible_settings_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInputError):
        call()
