from __future__ import annotations

import math

import numpy as np
import pytest

from identity_masker.statistics.arm_noise import noise_grid
from identity_masker.statistics.effect_interval import LARGEST, CountLook, ShiftLook, effect_interval

UNIT = math.log(2.0)


def test_the_estimate_is_the_ratio_of_the_levels() -> None:
    looks = [CountLook(30.0, 30.0, 1000.0, 3000.0), CountLook(60.0, 20.0, 2000.0, 2000.0)]
    found = effect_interval(looks, UNIT, noise_grid(0.0, 0.8), 0.05)
    assert found is not None
    assert math.exp(found.estimate) == pytest.approx(3.0, rel=1e-9)
    assert found.lower < math.log(3.0) < found.upper


def test_without_events_there_is_nothing_to_estimate() -> None:
    assert effect_interval([CountLook(0.0, 0.0, 100.0, 900.0)], UNIT, noise_grid(0.1, 0.8), 0.05) is None
    assert effect_interval([], UNIT, noise_grid(0.1, 0.8), 0.05) is None


def test_an_arm_without_events_gives_an_end_of_the_scale() -> None:
    found = effect_interval([CountLook(0.0, 40.0, 1000.0, 1000.0)], UNIT, noise_grid(0.1, 0.8), 0.05)
    assert found is not None
    assert found.estimate == -LARGEST
    assert found.upper < 0.0


def test_more_data_narrow_the_interval_and_noise_widens_it() -> None:
    def width(looks: int, noise: float) -> float:
        found = effect_interval([CountLook(10.0, 30.0, 500.0, 1500.0)] * looks, UNIT, noise_grid(noise, 0.8), 0.05)
        assert found is not None
        return found.upper - found.lower

    assert width(40, 0.0) < width(10, 0.0) < width(2, 0.0)
    assert width(10, 0.0) < width(10, 0.2) < width(10, 0.6)


def test_the_interval_of_a_difference_covers_it_and_scales() -> None:
    looks = [ShiftLook(0.30, 0.01), ShiftLook(0.34, 0.02), ShiftLook(0.25, 0.01)]
    found = effect_interval(looks, 1.0, noise_grid(0.0, 0.8), 0.05)
    assert found is not None
    assert found.estimate == pytest.approx((0.30 + 0.17 + 0.25) / 2.5)
    assert found.lower < found.estimate < found.upper


def test_the_interval_holds_at_every_look() -> None:
    """True ratio 1.5; 100 rollouts of 12 looks, looked at after each: at most 5 of 100 may ever exclude it."""
    rng = np.random.default_rng(8)
    noise, missed = noise_grid(0.0, 0.8), 0
    for _ in range(100):
        looks = [CountLook(*rng.poisson((15.0, 20.0)).astype(float), 1000.0, 2000.0) for _ in range(12)]
        found = [effect_interval(looks[:n], UNIT, noise, 0.05) for n in (1, 3, 6, 9, 12)]
        missed += any(each is not None and not each.lower <= math.log(1.5) <= each.upper for each in found)
    assert missed <= 5
