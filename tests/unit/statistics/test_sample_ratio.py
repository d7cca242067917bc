from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics import sample_ratio


@given(st.lists(st.integers(1, 5000), min_size=2, max_size=6))
def test_chi_square_agrees_with_scipy(counts: list[int]) -> None:
    assert sample_ratio.chi_square(counts, [1] * len(counts)) == pytest.approx(stats.chisquare(counts).pvalue, rel=1e-9)


@given(
    rows=st.lists(st.tuples(*[st.integers(0, 300)] * 3), min_size=1, max_size=8),
    weights=st.tuples(*[st.floats(0.1, 1.0)] * 3),
    prior=st.tuples(*[st.floats(0.5, 500.0)] * 3),
)
def test_constant_weights_give_the_dirichlet_multinomial_bayes_factor(rows, weights, prior) -> None:  # type: ignore[no-untyped-def]
    path = sample_ratio.sequential_path(rows, weights, prior=prior)
    logs = sample_ratio.log_marginals(rows, weights, prior)
    np.testing.assert_allclose(path.log_e_values, logs[:, 0] - logs[:, 1], atol=1e-6)


@pytest.mark.parametrize("changing", [False, True])
def test_e_value_has_mean_at_most_one_and_rarely_fires_when_the_split_is_right(changing: bool) -> None:
    rng = np.random.default_rng(7)
    runs, looks = 700, 30
    fired, last = 0, []
    for _ in range(runs):
        weights = rng.dirichlet([4, 4, 4], looks) if changing else np.tile([0.5, 0.3, 0.2], (looks, 1))
        if changing:
            weights[:10, 2] = 0.0
            weights /= weights.sum(axis=1, keepdims=True)
        sizes = rng.integers(0, 1500, looks)
        rows = np.array([rng.multinomial(n, w) for n, w in zip(sizes, weights, strict=True)])
        path = sample_ratio.sequential_path(rows, weights)
        fired += path.p_values[-1] <= 0.05
        last.append(np.exp(path.log_e_values[-1]))
    assert fired <= 0.05 * runs
    # The mean of so skew a variable is itself uncertain: within four standard errors of at most 1.
    assert np.mean(last) <= 1.0 + 4 * np.std(last) / np.sqrt(runs)


def test_weights_that_really_change_are_no_fault_but_a_constant_reading_of_them_is() -> None:
    rng = np.random.default_rng(1)
    weights = np.array([[0.5, 0.5]] * 10 + [[0.9, 0.1]] * 10)
    rows = np.array([rng.multinomial(1000, w) for w in weights])
    assert sample_ratio.sequential(rows, weights) < 20
    assert sample_ratio.sequential(rows, [0.5, 0.5]) > 1e6


def test_faint_fault_under_changing_weights_is_found() -> None:
    rng = np.random.default_rng(2)
    weights = rng.dirichlet([20, 20], 60)
    lossy = weights * [1.0, 0.94]
    lossy /= lossy.sum(axis=1, keepdims=True)
    rows = np.array([rng.multinomial(2000, w) for w in lossy])
    assert sample_ratio.sequential(rows, weights) > 1e6


def test_arms_without_weight_take_no_part() -> None:
    with_arm = sample_ratio.sequential([[500, 520, 40]], [0.5, 0.5, 0.0])
    assert with_arm == pytest.approx(sample_ratio.sequential([[500, 520]], [0.5, 0.5]))
    assert sample_ratio.chi_square([1000], [1.0]) == 1.0


def test_gross_fault_gives_a_large_finite_number() -> None:
    assert 1e300 < sample_ratio.sequential([[0, 100_000]] * 50, [0.5, 0.5]) < np.inf


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=20))
@settings(max_examples=50)
def test_anytime_p_value_never_grows(rows: list[tuple[int, int]]) -> None:
    p = sample_ratio.sequential_path(rows, [0.5, 0.5]).p_values
    assert np.all(np.diff(p) <= 0)
    assert np.all((p > 0) & (p <= 1))


@pytest.mark.parametrize(
    ("counts", "weights"),
    [
        ([-1, 5], [0.5, 0.5]),
        ([1.5, 5], [0.5, 0.5]),
        ([float("nan"), 5], [0.5, 0.5]),
        ([1, 2, 3], [0.5, 0.5]),
        ([1, 2], [0.0, 0.0]),
        ([1, 2], [-0.5, 1.5]),
        ([1, 2], [float("nan"), 1.0]),
        ([], []),
    ],
)
def test_counts_and_weights_that_make_no_sense_are_refused(counts: list[float], weights: list[float]) -> None:
    for call in (sample_ratio.chi_square, sample_ratio.sequential):
        with pytest.raises(BadInputError):
            call(counts, weights)
