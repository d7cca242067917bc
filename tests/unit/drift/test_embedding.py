from __future__ import annotations

import numpy as np
import pytest
from tests.unit.drift.tables import QUICK, quick, summary, vectors

from identity_masker.drift.embedding import compare_embedding
from identity_masker.drift.evidence import Embedding
from identity_masker.drift.policy import DriftPolicy


def _compare(before: np.ndarray, now: np.ndarray, policy: DriftPolicy = QUICK, alpha: float = 0.01) -> Embedding:
    sides = [summary({"e": values}, policy, seed=seed) for seed, values in enumerate((before, now))]
    return compare_embedding("e", sides[0], sides[1], policy, alpha)


def test_no_drift_has_a_large_p_value_and_an_effect_near_zero() -> None:
    rng = np.random.default_rng(0)
    found = _compare(rng.normal(size=(250, 8)), rng.normal(size=(250, 8)))
    assert found.combined_p_value > 0.05
    assert found.effect.low == 0.0
    assert len(found.points) == 2


def test_drift_gets_enough_permutations_to_pass_the_level() -> None:
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=(250, 8)), rng.normal(size=(250, 8)) + 0.4
    found = _compare(before, now, alpha=0.005)
    assert found.combined_p_value < 0.005
    assert found.mmd_p_value == found.classifier_p_value == pytest.approx(1 / 801)
    assert found.effect.low > 0.2


def test_rows_that_differ_are_named_by_the_id_column_or_their_number() -> None:
    rng = np.random.default_rng(2)
    before, now = rng.normal(size=(200, 6)), rng.normal(size=(200, 6))
    now[40:45] += 6.0
    by_number = {item.row for item in _compare(before, now).different}
    assert len(by_number & {"40", "41", "42", "43", "44"}) >= 4
    policy = quick(id_column="request")
    names = [f"r{index}" for index in range(200)]
    sides = [summary({"e": values, "request": names}, policy) for values in (before, now)]
    found = compare_embedding("e", sides[0], sides[1], policy, 0.01)
    assert {item.row for item in found.different} == {f"r{number}" for number in by_number}


def test_missing_and_broken_vectors_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(3)
    now = rng.normal(size=(100, 3))
    now[:5, 1] = np.nan
    now[5, 0] = np.inf
    found = _compare(rng.normal(size=(100, 3)), now)
    assert (found.rows, found.unusable) == ((100, 94), (0, 6))
    gone = vectors(now).to_pylist()
    gone[50:] = [None] * 50
    sides = [summary({"e": rng.normal(size=(100, 3))}), summary({"e": gone})]
    half = compare_embedding("e", sides[0], sides[1], QUICK, 0.01)
    assert half.missing.p_value < 1e-10


def test_few_vectors_are_not_enough() -> None:
    rng = np.random.default_rng(4)
    found = _compare(rng.normal(size=(100, 3)), rng.normal(size=(5, 3)))
    assert (found.status, found.mmd) == ("not_enough_data", None)


def test_one_dimension_and_equal_rows_do_no_harm() -> None:
    rng = np.random.default_rng(5)
    assert _compare(rng.normal(size=(60, 1)), rng.normal(size=(60, 1))).status == "tested"
    same = _compare(np.ones((60, 2)), np.ones((60, 2)))
    assert (same.combined_p_value, same.effect.value) == (1.0, 0.0)
