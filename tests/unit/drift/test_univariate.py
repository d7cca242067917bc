from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tests.unit.drift.tables import QUICK, quick, summary

from identity_masker.drift.column_summary import CategorySummary
from identity_masker.drift.evidence import Column
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.univariate import compare_categories, compare_numeric
from identity_masker.statistics import two_sample


def _numeric(before: np.ndarray, now: np.ndarray, policy: DriftPolicy = QUICK) -> Column:
    sides = [summary({"x": values}, policy).columns["x"] for values in (before, now)]
    return compare_numeric("x", sides[0], sides[1], policy)


def _categories(before: list[str], now: list[str], policy: DriftPolicy = QUICK) -> Column:
    sides = [summary({"x": values}, policy).columns["x"] for values in (before, now)]
    return compare_categories("x", sides[0], sides[1], policy)


def test_measures_are_those_of_scipy_and_two_sample() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=500), rng.normal(0.3, 1.2, size=400)
    found = _numeric(a, b)
    expected = stats.ks_2samp(a, b)
    assert found.ks == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(a, b))
    assert found.psi == pytest.approx(two_sample.psi(a, b, 10).statistic)
    assert found.scale == pytest.approx(stats.iqr(a) / 1.349)
    assert found.combined_p_value == min(1.0, 2 * min(found.p_value, found.bins_p_value))


def test_categories_have_the_chi_square_p_value() -> None:
    before, now = ["a"] * 60 + ["b"] * 40, ["a"] * 30 + ["b"] * 70
    found = _categories(before, now)
    assert found.p_value == pytest.approx(stats.chi2_contingency([[60, 40], [30, 70]], correction=False).pvalue)
    assert found.effect.value == pytest.approx(0.3, abs=0.01)
    assert (found.ks, found.wasserstein) == (None, None)


def test_the_effect_of_a_shift_is_the_shift_in_units_of_the_spread() -> None:
    rng = np.random.default_rng(1)
    for unit in (1e-3, 1e3):
        found = _numeric(unit * rng.normal(size=20_000), unit * rng.normal(0.2, 1, 20_000))
        assert found.effect.value == pytest.approx(0.2, abs=0.03)
        assert found.effect.low < 0.2 < found.effect.high


def test_values_of_different_sizes_do_not_overflow() -> None:
    found = _numeric(np.array([1e149, -1e149] * 20), np.array([1e-300, 0.0] * 20))
    assert found.ks == 0.5
    assert np.isfinite(found.wasserstein)


def test_a_constant_column_that_stays_has_no_drift_and_one_that_moves_has_all() -> None:
    ones = np.ones(100)
    still, moved, varied = _numeric(ones, ones), _numeric(ones, 2 * ones), _numeric(ones, np.arange(100.0))
    assert (still.combined_p_value, still.effect.value, still.constant) == (1.0, 0.0, (True, True))
    assert moved.combined_p_value < 1e-20
    assert moved.effect.value == pytest.approx(1.0, abs=0.01)
    assert moved.effect.unit == "share of rows"
    assert varied.constant == (True, False)
    assert varied.effect.value > 0.9


def test_short_columns_are_not_tested() -> None:
    found = _numeric(np.arange(100.0), np.array([1.0] * 10 + [np.nan] * 90))
    assert (found.status, found.ks) == ("not_enough_data", None)
    assert "10 values" in found.note
    assert found.missing.p_value < 1e-20


def test_new_categories_are_named_with_their_share() -> None:
    found = _categories(["a", "b"] * 50, ["a"] * 60 + ["c"] * 30 + ["d"] * 10)
    assert found.new_categories == ("c", "d")
    assert found.new_category_share == pytest.approx(0.4)


def test_columns_that_name_their_rows_are_not_tested_unless_only_one_side_does() -> None:
    names = [str(index) for index in range(100)]
    assert _categories(names, [f"x{name}" for name in names]).status == "not_tested"
    exploded = _categories(["a", "b"] * 50, names)
    assert exploded.combined_p_value < 1e-20


def test_categories_that_a_far_larger_window_has_no_more_are_drift() -> None:
    before = CategorySummary({"a": 1_000, "b": 1_000})
    for now in (CategorySummary({"c": 1_000_000}), CategorySummary(rest=1_000_000, identifier=True)):
        found = compare_categories("c", before, now, DriftPolicy())
        assert found.p_value is not None
        assert found.p_value < 1e-12
        assert found.effect is not None
        assert found.effect.value > 0.99


def test_ties_among_rare_categories_favour_no_side() -> None:
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(60):
        before = [f"a{index}" for index in rng.integers(0, 4_000, size=2_000)] + ["common"] * 2_000
        now = [f"b{index}" if index > 2_000 else f"a{index}" for index in rng.integers(0, 4_000, size=1_000)]
        p_values.append(_categories(before, now + ["common"] * 1_000).p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.2


def test_values_outside_policy_limits_are_counted() -> None:
    policy = quick(columns={"x": {"low": 0.0, "high": 1.0}})
    now = np.r_[np.linspace(0, 1, 90), np.full(4, -1.0), np.full(6, 2.0)]
    assert _numeric(np.linspace(0, 1, 100), now, policy).out_of_range == pytest.approx(0.1)
    named = quick(columns={"x": {"allowed": ["a", "b"]}})
    assert _categories(["a", "b"] * 50, ["a"] * 75 + ["z"] * 25, named).out_of_range == pytest.approx(0.25)


def test_infinite_values_are_left_out_and_tested_for_their_share() -> None:
    rng = np.random.default_rng(3)
    found = _numeric(rng.normal(size=500), np.r_[rng.normal(size=450), np.full(50, np.inf)])
    assert found.infinite.current == pytest.approx(0.1)
    assert found.infinite.p_value < 1e-10
    assert np.isfinite(found.wasserstein)


@pytest.mark.parametrize("sizes", [(100, 1_000), (1_000, 1_000)])
def test_combined_p_values_hold_their_level_without_drift(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    found = [_numeric(rng.normal(size=sizes[1]), rng.normal(size=sizes[0])).combined_p_value for _ in range(300)]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)
