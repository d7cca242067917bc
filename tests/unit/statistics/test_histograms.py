from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.statistics import histograms

BOUNDS = np.array([1.0, 2.0, 4.0, 8.0])
COUNTS = np.array([50.0, 30.0, 15.0, 4.0, 1.0])


def test_values_above_each_bound() -> None:
    assert histograms.above(COUNTS).tolist() == [50.0, 20.0, 5.0, 1.0]


def test_the_bound_nearest_to_a_quantile_is_found_by_ratio() -> None:
    assert histograms.tail_bound(COUNTS, 0.95) == 2
    assert histograms.tail_bound(COUNTS, 0.5) == 0
    assert histograms.tail_bound(COUNTS, 0.99) == 3


def test_the_slope_of_a_power_tail_is_its_exponent() -> None:
    tail = 1000.0 * BOUNDS**-2.5
    counts = np.concatenate([-np.diff(np.concatenate([[1000.0], tail])), [tail[-1]]])
    assert histograms.tail_slope(counts, BOUNDS, 1) == pytest.approx(2.5)


def test_the_slope_without_neighbours_changes_nothing() -> None:
    assert histograms.tail_slope(np.array([10.0, 5.0]), np.array([3.0]), 0) == 1.0
    assert histograms.tail_slope(np.array([10.0, 0.0, 0.0]), np.array([3.0, 4.0]), 0) == 1.0


def test_quantiles_interpolate_within_the_bucket() -> None:
    assert histograms.quantile(COUNTS, BOUNDS, 0.65) == (1.5, False)
    assert histograms.quantile(COUNTS, BOUNDS, 0.25) == (0.5, False)


def test_a_quantile_beyond_the_last_bound_says_so() -> None:
    assert histograms.quantile(COUNTS, BOUNDS, 0.995) == (8.0, True)
    assert histograms.quantile(np.zeros(5), BOUNDS, 0.5) is None


@given(
    st.lists(st.integers(0, 500), min_size=5, max_size=5).filter(lambda counts: sum(counts) > 0),
    st.sampled_from([1e-6, 1e-3, 1e3, 1e6]),
    st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_scaling_the_values_scales_quantiles_and_nothing_else(counts: list[int], scale: float, share: float) -> None:
    values = np.array(counts, dtype=np.float64)
    at = histograms.tail_bound(values, share)
    plain = histograms.tail_slope(values, BOUNDS, at)
    assert histograms.tail_slope(values, BOUNDS * scale, at) == pytest.approx(plain, rel=1e-9)
    before, after = (histograms.quantile(values, BOUNDS * factor, share) for factor in (1.0, scale))
    assert before is not None
    assert after is not None
    assert after.value == pytest.approx(before.value * scale, rel=1e-9)
    assert after.beyond == before.beyond
