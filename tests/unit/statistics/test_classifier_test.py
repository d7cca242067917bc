from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.classifier_test import classifier_test, roc_area


def test_p_values_are_uniform_without_a_difference() -> None:
    rng = np.random.default_rng(0)
    found = [classifier_test(rng.normal(size=(60, 5)), rng.normal(size=(40, 5)), 19, k).p_value for k in range(200)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(np.array(found) <= 0.5) == pytest.approx(0.5, abs=0.1)


def test_a_shift_is_found_with_its_size() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(800, 4)), rng.normal(size=(800, 4))
    b[:, 2] += 1.0
    found = classifier_test(a, b, 199)
    assert found.p_value == 1 / 200
    # The best classifier of two normals one deviation apart has area Φ(1/√2).
    assert found.area.low < stats.norm.cdf(np.sqrt(0.5)) < found.area.high
    assert np.corrcoef(found.scores, b[:, 2])[0, 1] > 0.9


def test_a_change_of_spread_is_found_through_the_squares() -> None:
    rng = np.random.default_rng(2)
    assert classifier_test(rng.normal(size=(500, 6)), 1.3 * rng.normal(size=(500, 6)), 99).p_value == 0.01


def test_the_rows_that_differ_have_the_highest_scores() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(300, 8)), rng.normal(size=(300, 8))
    b[:30] += 2.0
    top = np.argsort(-classifier_test(a, b, 19).scores)[:30]
    assert np.mean(top < 30) >= 0.7


def test_constant_dimensions_do_no_harm() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    a[:, 1] = b[:, 1] = 7.0
    assert 0.0 < classifier_test(a, b, 19).p_value <= 1.0


def test_roc_area_with_its_interval() -> None:
    assert roc_area([1, 2, 3], [4, 5]) == (1.0, 1.0, 1.0)
    assert roc_area([1, 2], [1, 2])[0] == 0.5
    rng = np.random.default_rng(5)
    truth = stats.norm.cdf(0.5 / np.sqrt(2))
    found = [roc_area(rng.normal(size=80), rng.normal(0.5, 1, 60)) for _ in range(300)]
    assert np.mean([each.low <= truth <= each.high for each in found]) == pytest.approx(0.95, abs=0.03)


def test_wrong_tables_are_refused() -> None:
    rows = np.zeros((20, 2))
    with pytest.raises(BadInputError, match="dimensions"):
        classifier_test(rows, np.zeros((20, 3)))
    with pytest.raises(BadInputError, match="few rows"):
        classifier_test(rows, np.zeros((5, 2)))
    with pytest.raises(BadInputError, match="permutations"):
        classifier_test(rows, rows, 0)
