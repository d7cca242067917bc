from __future__ import annotations

import numpy as np
import pytest
from tests.unit.masking.maskers import small_masker

from identity_masker.masking.baselines import BlackBox, IdentityMap
from identity_masker.masking.motion import flicker, jumps, video


def test_a_face_moves_smoothly_in_a_scene_that_stays() -> None:
    frames, factors = video(3, 0, 30, 64)
    steps = np.abs(np.diff(factors, axis=0)).max(axis=0)
    assert frames.shape == (30, 64, 64, 3)
    assert steps.max() < 0.25
    assert np.abs(factors[0] - factors[-1]).max() > 0.3
    corner = frames[:, :4, :4].astype(int)
    assert np.abs(corner - corner[0]).max() <= 2


def test_what_is_returned_as_it_came_flickers_as_much_and_black_not_at_all() -> None:
    same = flicker(IdentityMap(), 1, 2, 8, 64)
    assert same.clear == same.masked > 0.0
    assert flicker(BlackBox(), 1, 2, 8, 64).masked == 0.0


def test_fresh_noise_in_every_frame_counts_as_flicker() -> None:
    random = np.random.default_rng(0)
    frames = random.normal(128, 20, (40, 16, 16, 3)).clip(0, 255).astype(np.uint8)
    # The second difference of white noise has √6 times its deviation; the mean of |N(0, s)| is s √(2/π).
    assert jumps(frames) == pytest.approx(20 * np.sqrt(6) * np.sqrt(2 / np.pi), rel=0.05)


def test_a_masker_gives_a_video_one_face() -> None:
    masked = flicker(small_masker(), 1, 1, 8, 64)
    assert np.isfinite(masked.masked)
