from __future__ import annotations

import colorsys
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import fft, ndimage

from identity_masker.faces import anchors, render
from identity_masker.faces.descriptors import DESCRIPTORS, EMBEDDING, FACE, describe, embed, perceptual_hash


def noise(seed: int, count: int = 3, size: int = 12) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def plain(red: int, green: int, blue: int) -> NDArray[np.uint8]:
    return np.full((1, 8, 8, 3), (red, green, blue), dtype=np.uint8)


@given(st.integers(0, 2**32))
def test_brightness_and_contrast_are_mean_and_spread_of_luma(seed: int) -> None:
    images = noise(seed)
    luma = images.astype(float) @ [0.299, 0.587, 0.114] / 255
    found = describe(images)
    np.testing.assert_allclose(found["brightness"], luma.mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(found["contrast"], luma.std(axis=(1, 2)), atol=1e-5)


@given(st.integers(0, 2**32))
def test_sharpness_is_the_spread_of_scipys_laplacian(seed: int) -> None:
    images = noise(seed)
    luma = images.astype(float) @ [0.299, 0.587, 0.114] / 255
    expected = [ndimage.laplace(one)[1:-1, 1:-1].std() for one in luma]
    np.testing.assert_allclose(describe(images)["sharpness"], expected, atol=1e-5)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_saturation_is_that_of_hsv(colour: tuple[int, int, int]) -> None:
    expected = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))[1]
    assert describe(plain(*colour))["saturation"][0] == pytest.approx(expected, abs=1e-5)


def test_dark_and_bright_shares_count_pixels() -> None:
    images = np.full((1, 10, 10, 3), 128, dtype=np.uint8)
    images[0, :2] = 5
    images[0, 9] = 250
    found = describe(images)
    assert found["dark_share"][0] == pytest.approx(0.2)
    assert found["bright_share"][0] == pytest.approx(0.1)


def test_blur_lowers_sharpness() -> None:
    sharp = noise(1, count=1, size=32)
    soft = np.asarray(Image.fromarray(sharp[0]).filter(ImageFilter.GaussianBlur(2)))[None]
    assert describe(soft)["sharpness"][0] < 0.3 * describe(sharp)["sharpness"][0]


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_an_image_is_described_alike_alone_and_in_a_batch(seed: int, count: int) -> None:
    images = noise(seed, count)
    together = describe(images)
    assert tuple(together) == DESCRIPTORS
    for name in DESCRIPTORS:
        assert together[name].dtype == np.float32
        assert np.isnan(together[name]).all() == (name in FACE)
        np.testing.assert_allclose(together[name][-1], describe(images[-1:])[name][0], atol=1e-5)


@pytest.mark.parametrize("level", [0.02, 0.05, 0.1])
def test_noise_is_estimated_as_it_was_added(level: float) -> None:
    rows, columns = np.mgrid[0:64, 0:64] / 64
    smooth = 0.3 + 0.4 * rows * columns
    grey = smooth + np.random.default_rng(3).normal(0, level, (64, 64))
    images = np.repeat((grey * 255).clip(0, 255).astype(np.uint8)[None, ..., None], 3, axis=3)
    assert describe(images)["noise"][0] == pytest.approx(level, rel=0.1)


@given(st.integers(0, 2**32))
def test_the_distance_of_embeddings_is_that_of_the_pictures_without_their_details(seed: int) -> None:
    one, other = noise(seed, count=2, size=16)
    luma = (np.stack([one, other]).astype(float) @ [0.299, 0.587, 0.114]) / 255
    spectra = fft.dctn(luma, axes=(1, 2), norm="ortho")[:, :8, :8] / 16
    vectors = embed(np.stack([one, other]))
    assert vectors.shape == (2, EMBEDDING)
    np.testing.assert_allclose(vectors[:, :64], spectra.reshape(2, -1), atol=1e-5)


def test_a_picture_saved_again_keeps_its_hash_and_another_has_another() -> None:
    faces = render.draw(1, np.arange(40), np.arange(40), 64).images

    def again(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        out = io.BytesIO()
        Image.fromarray(pixels).resize((56, 56)).save(out, "JPEG", quality=70)
        return np.asarray(Image.open(out).resize((64, 64)))

    first, second = (perceptual_hash(embed(each)) for each in (faces, np.stack([again(face) for face in faces])))
    assert (first >= 0).all()
    assert np.mean(np.bitwise_count(first ^ second) <= 3) > 0.9
    others = np.bitwise_count(first[:, None] ^ first[None])[~np.eye(40, dtype=bool)]
    assert np.mean(others <= 3) < 0.01


def test_pose_follows_the_turns_of_a_drawn_head() -> None:
    drawn = render.draw(1, np.arange(300), np.arange(300), 64)
    points = anchors.of_landmarks(drawn.landmarks)
    found = describe(drawn.images, points, np.full(300, 64, dtype=np.float32))
    yaw, pitch, roll = drawn.factors[:, 0], drawn.factors[:, 1], drawn.factors[:, 2]
    assert np.corrcoef(found["yaw"], yaw)[0, 1] > 0.95
    assert np.corrcoef(found["pitch"], pitch)[0, 1] > 0.7
    assert np.corrcoef(found["roll"], -roll)[0, 1] > 0.95
    assert found["face_size"] == pytest.approx(64 * np.linalg.norm(points[:, 1] - points[:, 0], axis=1), rel=1e-5)


@given(st.floats(-60, 60))
def test_roll_is_the_turn_of_the_points(degrees: float) -> None:
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (anchors.FRAME @ matrix.T)[None].astype(np.float32)
    assert anchors.pose(points).roll[0] == pytest.approx(degrees, abs=0.1)
