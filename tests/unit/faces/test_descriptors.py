from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from identity_masker.faces.descriptors import DESCRIPTORS, describe


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
        np.testing.assert_allclose(together[name][-1], describe(images[-1:])[name][0], atol=1e-5)
