from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.faces.face_set import LANDMARKS
from identity_masker.masking.alignment import MODEL_FACE, Frames, Points, Window, resized

angles = st.floats(-3.0, 3.0)
scales = st.floats(0.2, 2.0)
shifts = st.floats(-0.5, 0.5)


def placed(scale: float, angle: float, x: float, y: float) -> Points:
    """The model face turned, scaled and moved: (1, 10, 2)."""
    turn = scale * np.exp(1j * angle)
    points = turn * (MODEL_FACE[:, 0] + 1j * MODEL_FACE[:, 1]) + complex(x, y)
    return np.stack([points.real, points.imag], axis=-1)[None].astype(np.float32)


def test_the_model_face_has_all_landmarks() -> None:
    assert MODEL_FACE.shape == (LANDMARKS, 2)


@given(scales, angles, shifts, shifts)
def test_a_placed_model_face_is_found_exactly(scale: float, angle: float, x: float, y: float) -> None:
    landmarks = placed(scale, angle, x, y)
    frames = Frames.of(landmarks)
    assert frames.turn[0] == pytest.approx(scale * np.exp(1j * angle), abs=1e-5)
    assert frames.origin[0] == pytest.approx(complex(x, y), abs=1e-5)
    whole = Window(0.5, 0.5, 0.5, 8)
    assert np.allclose(frames.into(landmarks, whole)[0], MODEL_FACE, atol=1e-5)


@given(scales, angles, shifts, st.floats(0.1, 0.6))
def test_points_come_back_from_a_window(scale: float, angle: float, shift: float, half: float) -> None:
    frames = Frames.of(placed(scale, angle, shift, -shift))
    points = np.random.default_rng(0).uniform(0, 1, (1, 5, 2)).astype(np.float32)
    window = Window(0.4, 0.6, half, 16)
    assert np.allclose(frames.out_of(frames.into(points, window), window), points, atol=1e-4)


def test_a_crop_shows_what_the_window_covers() -> None:
    # An upright model face over the whole picture: the window is a plain crop.
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    frames = Frames.of(np.repeat(MODEL_FACE[None], 2, axis=0))
    crop = frames.crop(images, Window(0.5, 0.25, 0.25, 16))
    assert np.array_equal(crop, images[:, :16, 8:24])


def test_a_turned_picture_gives_the_same_crop() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    turned = np.rot90(images, axes=(1, 2))
    upright = MODEL_FACE[None]
    # A quarter turn to the left brings (x, y) to (y, 1 - x).
    moved = np.stack([upright[..., 1], 1 - upright[..., 0]], axis=-1)
    window = Window(0.5, 0.5, 0.3, 20)
    first, second = Frames.of(upright).crop(images, window), Frames.of(moved).crop(turned, window)
    assert np.abs(first.astype(int) - second.astype(int)).max() <= 1


def test_the_border_is_repeated_outside() -> None:
    images = np.full((1, 16, 16, 3), 77, np.uint8)
    assert (Frames.of(MODEL_FACE[None]).crop(images, Window(0.0, 0.0, 1.0, 8)) == 77).all()


def test_resizing_takes_area_means() -> None:
    images = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(3, axis=3)
    assert resized(images, 4) is images
    assert resized(images, 2)[0, :, :, 0].tolist() == [[2, 4], [10, 12]]
