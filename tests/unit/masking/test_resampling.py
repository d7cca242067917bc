from __future__ import annotations

import numpy as np

from identity_masker.masking.resampling import Resampling


def test_pictures_of_one_person_stand_or_fall_together() -> None:
    people = np.repeat(np.array([f"p{n}" for n in range(50)]), 20)
    values = np.repeat(np.random.default_rng(1).normal(0, 1, 50), 20)
    low, high = Resampling(people, 400, 0.95, 0).interval(lambda rows: float(values[rows].mean()))
    # 50 people, not 1,000 pictures: the interval is about ±1.96 / √50
    assert 0.4 < high - low < 0.75
    assert low < values.mean() < high


def test_equal_values_have_an_interval_without_width() -> None:
    assert Resampling(np.array(["a", "b", "b"]), 50, 0.9, 0).interval(lambda rows: 1.0) == (1.0, 1.0)
