from __future__ import annotations

import pytest
import torch

from identity_masker.faces.face_set import FACTORS
from identity_masker.masking.losses import losses, r_squared, visibility
from identity_masker.masking.networks import Reading
from identity_masker.masking.views import PLACE, POSE


def exact(factors: torch.Tensor) -> Reading:
    return Reading(place=factors[:, PLACE], pose=factors[:, POSE], factors=factors)


def test_a_perfect_reading_costs_nothing_and_a_wrong_one_something() -> None:
    factors = torch.rand(8, 16) * 2 - 1
    assert all(float(loss) == 0 for loss in losses(exact(factors), factors).values())
    assert all(float(loss) > 0 for loss in losses(exact(factors + 0.1), factors).values())


def test_gaze_behind_closed_lids_counts_least() -> None:
    factors = torch.zeros(3, 16)
    factors[:, FACTORS.index("blink")] = torch.tensor([-1.0, 0.0, 1.0])
    weights = visibility(factors)[:, FACTORS.index("gaze_x")]
    assert weights[0] > weights[1] > weights[2] > 0


def test_r_squared_is_one_when_right_and_zero_for_the_mean() -> None:
    true = torch.rand(100, 16)
    assert r_squared(true, true)["yaw"] == pytest.approx(1)
    assert r_squared(true.mean(dim=0).expand(100, 16), true)["smile"] == pytest.approx(0, abs=1e-5)
