from __future__ import annotations

import numpy as np
import pytest

from identity_masker.errors import BadInputError
from identity_masker.statistics.max_statistic import (
    category_flags,
    effective_columns,
    max_statistic,
    numeric_flags,
)
from identity_masker.statistics.multiple import bonferroni
from identity_masker.statistics.two_sample import ks


def _table(rng: np.random.Generator, rows: int, columns: int, correlation: float) -> np.ndarray:
    common = rng.normal(size=(rows, 1))
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.normal(size=(rows, columns))


@pytest.mark.parametrize("correlation", [0.0, 0.95])
def test_false_alarms_are_at_the_level_for_independent_and_for_correlated_columns(correlation: float) -> None:
    rng = np.random.default_rng(0)
    smallest = []
    for seed in range(150):
        table = _table(rng, 160, 8, correlation)
        smallest.append(max_statistic([numeric_flags(c) for c in table.T], 80, 99, seed).p_values.min())
    assert 0.03 <= np.mean(np.array(smallest) <= 0.1) <= 0.16


def test_correlated_columns_cost_less_than_bonferroni() -> None:
    rng = np.random.default_rng(1)
    table = _table(rng, 800, 30, 0.97)
    table[400:] += 0.17
    found = max_statistic([numeric_flags(column) for column in table.T], 400, 999)
    one_by_one = bonferroni([ks(column[:400], column[400:]).p_value for column in table.T])
    assert found.p_values.min() < 0.5 * one_by_one.min()


def test_the_column_that_moved_is_named() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(size=(1_000, 5))
    table[500:, 3] *= 1.5
    codes = rng.integers(0, 4, size=1_000)
    codes[500:][codes[500:] == 0] = 1
    found = max_statistic([*(numeric_flags(c) for c in table.T), category_flags(codes)], 500, 499)
    assert set(np.flatnonzero(found.p_values <= 0.01)) == {3, 5}
    assert found.p_values[3] == 1 / 500


def test_missing_values_constants_and_rare_categories_do_no_harm() -> None:
    column = np.where(np.arange(100) % 3 == 0, np.nan, np.arange(100.0))
    assert numeric_flags(column).shape == (100, 9)
    assert not numeric_flags(np.full(10, 2.0)).any()
    assert numeric_flags(np.full(10, np.nan)).shape == (10, 0)
    assert category_flags([-1, 0, 1, 1]).shape == (4, 2)
    still = max_statistic([numeric_flags(np.ones(40)), numeric_flags(np.full(40, np.nan))], 20, 99)
    assert list(still.p_values) == [1.0, 1.0]


def test_effective_columns_counts_copies_once() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=(500, 4))
    assert effective_columns(list(base.T)) == pytest.approx(4.0, abs=0.2)
    assert effective_columns([base[:, 0], 2 * base[:, 0], np.exp(base[:, 0])]) == pytest.approx(1.0, abs=0.01)
    assert effective_columns([base[:, 0]]) == 1.0


def test_one_sided_tables_are_refused() -> None:
    flags = [numeric_flags(np.arange(10.0))]
    for first in (0, 10):
        with pytest.raises(BadInputError, match="no rows"):
            max_statistic(flags, first)
    with pytest.raises(BadInputError, match="permutations"):
        max_statistic(flags, 5, 0)
