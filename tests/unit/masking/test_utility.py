from __future__ import annotations

import numpy as np
import pytest

from identity_masker.faces.face_set import FACTORS, LANDMARKS
from identity_masker.masking.alignment import MODEL_FACE
from identity_masker.masking.judge import Labels, Reading
from identity_masker.masking.utility import GROUPS, group_r2, landmark_error, measure_utility


def factors(rows: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, len(FACTORS))).astype(np.float32)


def landmarks(rows: int = 50) -> np.ndarray:
    return np.repeat(MODEL_FACE[None], rows, axis=0)


def test_every_group_is_made_of_factors() -> None:
    assert {name for group in GROUPS.values() for name in group} <= set(FACTORS)


def test_a_perfect_reading_has_one_and_the_mean_has_zero() -> None:
    true = factors()
    mean = np.repeat(true.mean(axis=0, keepdims=True), len(true), axis=0)
    for members in GROUPS.values():
        assert group_r2(true, true, members) == 1.0
        assert group_r2(mean, true, members) == pytest.approx(0.0, abs=1e-6)
        assert group_r2(-true, true, members) < 0


def test_a_factor_that_does_not_vary_is_left_out() -> None:
    true = factors()
    true[:, FACTORS.index("yaw")] = 0.25
    assert group_r2(true + 0.0, true, GROUPS["pose"]) == 1.0
    assert group_r2(true, true, ("yaw",)) == 0.0


def test_the_landmark_error_is_a_share_of_the_distance_between_the_eyes() -> None:
    true = landmarks()
    width = true[0, 3, 0] - true[0, 0, 0]
    found = true + np.array([0.1 * width, 0.0], np.float32)
    assert landmark_error(found, true) == pytest.approx(0.1, rel=1e-4)
    assert landmark_error(true, true) == 0.0


def test_clear_and_masked_are_compared_with_the_same_labels() -> None:
    true = factors()
    labels = Labels(true, landmarks())
    blind = Reading(np.zeros_like(true), np.zeros((50, LANDMARKS, 2), np.float32))
    found = measure_utility(Reading(true, landmarks()), blind, labels)
    assert set(found.groups) == set(GROUPS)
    assert all(kept.clear == 1.0 and kept.masked <= 0.0 for kept in found.groups.values())
    assert found.landmark_error.clear == 0.0 < found.landmark_error.masked
