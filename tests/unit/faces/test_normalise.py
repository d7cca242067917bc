from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_masker.faces.normalise import pixel_hash, resized, square, square_points


def gradient(width: int, height: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 255 // height, columns * 255 // width, rows * 0], axis=2).astype(np.uint8)


def test_a_square_of_the_right_size_is_left_as_it_is() -> None:
    picture = gradient(32, 32)
    assert square(picture, 32) is picture


@given(st.integers(16, 90), st.integers(16, 90), st.sampled_from([16, 32, 64]))
def test_every_picture_becomes_a_square(width: int, height: int, size: int) -> None:
    assert square(gradient(width, height), size).shape == (size, size, 3)


def test_the_middle_is_kept() -> None:
    picture = np.zeros((20, 60, 3), dtype=np.uint8)
    picture[:, 20:40] = 255
    assert (square(picture, 20) == 255).all()


@pytest.mark.parametrize(("width", "height"), [(60, 40), (40, 60), (50, 50)])
def test_landmarks_move_with_the_picture(width: int, height: int) -> None:
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    x, y = width // 2 + 6, height // 2 - 8
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    point = np.array([[(x + 0.5) / width, (y + 0.5) / height]], dtype=np.float32)
    moved = square_points(point, width, height)[0] * 32
    row, column = np.unravel_index(square(picture, 32)[..., 0].argmax(), (32, 32))
    np.testing.assert_allclose(moved, [column + 0.5, row + 0.5], atol=1.0)


def test_a_stack_is_resized_image_by_image() -> None:
    images = np.stack([gradient(64, 64), gradient(64, 64)[::-1]])
    small = resized(images, 32)
    assert small.shape == (2, 32, 32, 3)
    np.testing.assert_array_equal(small[1], square(images[1], 32))
    assert resized(images, 64) is images
    assert resized(images[:0], 32).shape == (0, 32, 32, 3)


def test_pictures_of_the_same_bytes_and_other_shape_hash_differently() -> None:
    flat = np.zeros((4, 6, 3), dtype=np.uint8)
    assert pixel_hash(flat) != pixel_hash(flat.reshape(6, 4, 3))
    assert pixel_hash(flat) == pixel_hash(flat[::-1, ::-1])
