from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.masking.baselines import Pixelation
from identity_masker.masking.config import PixelationConfig
from identity_masker.masking.pixelation import PixelationMasker

sides = st.integers(16, 90)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def mosaic(blocks: int = 8) -> PixelationMasker:
    return PixelationMasker(PixelationConfig(name="pixelation", blocks=blocks))


def test_square_pictures_are_masked_as_the_attackers_calibration_does() -> None:
    images = noise(64, 64)
    assert np.array_equal(mosaic(8).mask(images, ["a", "b"]), Pixelation(8).mask(images, ["a", "b"]))


@given(sides, sides)
def test_pictures_of_any_form_keep_it_and_their_light(height: int, width: int) -> None:
    images = noise(height, width)
    masked = mosaic(8).mask(images, ["a", "b"])
    assert masked.shape == images.shape
    assert masked.dtype == np.uint8
    assert np.allclose(masked.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=0.6)


@given(sides, sides)
def test_there_are_no_more_colours_than_blocks(height: int, width: int) -> None:
    masked = mosaic(4).mask(noise(height, width), ["a", "b"])
    edge = max(height, width) // 4
    blocks = max(1, height // edge) * max(1, width // edge)
    assert len(np.unique(masked[0].reshape(-1, 3), axis=0)) <= blocks


def test_a_mosaic_as_fine_as_the_picture_is_refused_and_never_the_picture() -> None:
    with pytest.raises(BadInputError, match="too small for this mosaic"):
        mosaic(16).mask(noise(20, 20), ["a", "b"])
