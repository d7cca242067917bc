from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics import two_sample
from identity_masker.statistics.quantile_sketch import SortedSample
from identity_masker.statistics.stability import (
    homogeneity,
    quantile_edges,
    share_p_value,
    stability_index,
    total_variation,
)

values = st.lists(st.integers(-6, 6) | st.floats(-10, 10), min_size=2, max_size=60)


@given(values, values, st.integers(2, 12))
@example([1, -4], [0, 0], 5)
@settings(max_examples=80, deadline=None)
def test_stability_index_of_stored_bins_is_that_of_the_two_samples(a: list[float], b: list[float], bins: int) -> None:
    reference, current = SortedSample.of(a), SortedSample.of(b)
    edges = quantile_edges(reference, bins)
    found = stability_index(reference.counts_between(edges), current.counts_between(edges))
    assert found == pytest.approx(two_sample.psi(a, b, bins).statistic, abs=1e-9)


@given(st.lists(st.tuples(st.integers(30, 200), st.integers(30, 200)), min_size=2, max_size=8))
@settings(max_examples=60, deadline=None)
def test_homogeneity_is_scipys_chi_square_when_no_cell_is_rare(table: list[tuple[int, int]]) -> None:
    first, second = zip(*table, strict=True)
    expected = stats.chi2_contingency([first, second], correction=False)
    found = homogeneity(first, second)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert (found.degrees, found.p_value) == (expected.dof, pytest.approx(expected.pvalue, rel=1e-9))


def test_rare_cells_are_pooled_into_one() -> None:
    first, second = [50, 50, 3, 2, 3], [50, 50, 2, 3, 3]
    assert homogeneity(first, second).degrees == 2
    assert homogeneity([100, 1], [100, 1]) == (0.0, 0, 1.0)
    assert homogeneity([1, 2, 3], [3, 2, 1]).p_value == 1.0


def test_a_cell_that_vanished_from_a_far_larger_side_is_not_pooled_away() -> None:
    assert homogeneity([1_000, 1_000, 0], [0, 0, 1_000_000]).p_value < 1e-12
    assert homogeneity([2_000, 40], [1_000_000, 0]).p_value < 1e-12


def test_homogeneity_holds_its_level_where_one_side_is_far_larger_and_many_cells_are_rare() -> None:
    rng = np.random.default_rng(1)
    shares = rng.pareto(1.2, 300) + 0.05
    shares /= shares.sum()
    found = [homogeneity(rng.multinomial(2_000, shares), rng.multinomial(1_000_000, shares)) for _ in range(2_000)]
    assert np.mean([each.p_value <= 0.05 for each in found]) < 0.065
    assert np.mean([each.p_value <= 0.001 for each in found]) < 0.004


def test_homogeneity_holds_its_level_where_the_index_does_not() -> None:
    # Distribution-free: reference quantile bins of 100 values against 100 others, ten bins.
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(10, 10.0), size=20_000)
    now, before = rng.multinomial(100, shares), np.full(10, 10)
    flagged = np.mean([homogeneity(before, row).p_value <= 0.001 for row in now[:6_000]])
    assert flagged <= 0.002
    index = np.array([stability_index(before, row) for row in now])
    wrongly = np.mean(stats.chi2.sf(index / (2 / 100), 9) <= 0.001)
    assert wrongly > 0.002


def test_total_variation_measures_the_share_of_rows_that_moved() -> None:
    rng = np.random.default_rng(1)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
    found = [total_variation(rng.multinomial(2000, p), rng.multinomial(500, q)) for _ in range(200)]
    assert np.mean([each.value for each in found]) == pytest.approx(0.1, abs=0.01)
    assert np.mean([each.low <= 0.1 <= each.high for each in found]) >= 0.93
    same = [total_variation(rng.multinomial(500, p), rng.multinomial(500, p)).low for _ in range(200)]
    assert np.mean(np.array(same) > 0.0) <= 0.1
    assert total_variation([100, 0], [0, 100]).value == pytest.approx(1.0, abs=1e-6)


@given(st.integers(0, 20), st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_share_p_value_covers_fishers(before: int, now: int) -> None:
    found = share_p_value(before, 20, now, 40)
    one_sided = [
        stats.fisher_exact([[now, 40 - now], [before, 20 - before]], alternative=side).pvalue
        for side in ("less", "greater")
    ]
    assert found == pytest.approx(min(1.0, 2.0 * min(one_sided)), rel=1e-7)


@pytest.mark.parametrize(
    ("before", "now"), [([1, 2], [1, 2, 3]), ([0, 0], [1, 1]), ([1.5, 2], [1, 2]), ([-1, 2], [1, 2])]
)
def test_tables_that_are_not_tables_are_refused(before: list[float], now: list[float]) -> None:
    with pytest.raises(BadInputError):
        homogeneity(before, now)


def test_impossible_counts_and_bins_are_refused() -> None:
    with pytest.raises(BadInputError, match="impossible counts"):
        share_p_value(3, 2, 0, 2)
    with pytest.raises(BadInputError, match="too few bins"):
        quantile_edges(SortedSample.of([1.0, 2.0]), 1)
