from __future__ import annotations

import numpy as np
import pytest

from identity_masker.drift.label_free import performance
from identity_masker.errors import BadInputError


def test_labels_are_used_when_there_are_enough_of_them() -> None:
    rng = np.random.default_rng(0)
    leak = (rng.random(2_000) < 0.2).astype(float)
    predicted = np.clip(leak * 0.6 + 0.2 + 0.1 * rng.normal(size=2_000), 0, 1)
    found = performance(predicted[40:], labels=(predicted[:40], leak[:40]))
    assert (found.method, found.labels, found.rows) == ("prediction_powered", 40, 2_000)
    assert found.low < 0.2 < found.high
    assert found.high - found.low < 0.15


def test_without_labels_the_reference_is_used_and_the_assumption_stated() -> None:
    rng = np.random.default_rng(1)
    score = rng.random(3_000)
    outcome = (rng.random(3_000) < score).astype(float)
    found = performance(rng.random(500) ** 2, reference=(score, outcome), labels=([0.1], [1.0]))
    assert (found.method, found.labels) == ("calibrated", 0)
    assert found.low < 1 / 3 < found.high
    assert "cannot be seen" in found.assumes


def test_with_neither_there_is_no_estimate() -> None:
    with pytest.raises(BadInputError, match="nothing to estimate"):
        performance([0.1, 0.2])
    with pytest.raises(BadInputError, match="nothing to estimate"):
        performance([0.1, 0.2], reference=([0.1] * 50, [1.0] * 50))
