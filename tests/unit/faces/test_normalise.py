from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_masker.faces.anchors import FRAME
from identity_masker.faces.decode import UndecodableError
from identity_masker.faces.normalise import aligned, pixel_hash, resized, square, square_points


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


@given(st.floats(-0.6, 0.6), st.floats(60, 700), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_an_aligned_face_has_its_points_where_they_belong(turn: float, side: float, right: float, down: float) -> None:
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * side
    points = (FRAME - 0.5) @ matrix.T + 200 + np.array([right, down]) * side
    rows, columns = np.mgrid[0:400, 0:400]
    picture = np.stack([columns * 255 // 400, rows * 255 // 400, rows * 0], axis=2).astype(np.uint8)
    out, there, length = aligned(picture, points.astype(np.float32), 64)
    assert out.shape == (64, 64, 3)
    assert length == pytest.approx(side, rel=1e-3)
    np.testing.assert_allclose(there, FRAME, atol=1e-3)
    for (x, y), (column, row) in zip(points, np.floor(FRAME * 64).astype(int), strict=True):
        seen = out[row, column, :2].astype(float) * 400 / 255
        np.testing.assert_allclose(seen, np.clip([x, y], 0, 399), atol=0.02 * side + 4)


@pytest.mark.parametrize("point", [(5.0, 5.0), (-1e30, 3.0), (1e9, 1e9)])
@pytest.mark.parametrize("shift", [0.0, 1e7])
def test_points_that_make_no_face_are_refused(point: tuple[float, float], shift: float) -> None:
    points = np.tile(np.array(point, dtype=np.float32), (5, 1))
    points[1] += shift
    with pytest.raises(UndecodableError, match="not those of a face"):
        aligned(gradient(40, 40), points, 32)


def test_a_face_beside_the_picture_is_made_of_its_edge() -> None:
    points = (FRAME * 30 + 5000).astype(np.float32)
    assert len(np.unique(aligned(gradient(40, 40), points, 32)[0].reshape(-1, 3), axis=0)) == 1
