from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.masking.baselines import BlackBox, IdentityMap, Pixelation

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
KEYS = ["a", "b", "c"]


def test_the_identity_map_returns_a_copy() -> None:
    masked = IdentityMap().mask(IMAGES, KEYS)
    assert np.array_equal(masked, IMAGES)
    assert not np.shares_memory(masked, IMAGES)


def test_the_black_box_leaves_nothing() -> None:
    assert not BlackBox().mask(IMAGES, KEYS).any()


@given(st.sampled_from([2, 4, 8, 16]))
def test_pixelation_keeps_the_mean_of_each_block(pixel: int) -> None:
    masked = Pixelation(pixel).mask(IMAGES, KEYS)
    blocks = masked.reshape(3, 16 // pixel, pixel, 16 // pixel, pixel, 3)
    assert (blocks == blocks[:, :, :1, :, :1]).all()
    means = IMAGES.reshape(blocks.shape).mean(axis=(2, 4))
    assert np.abs(blocks[:, :, 0, :, 0] - means).max() <= 0.5


def test_blocks_that_do_not_divide_are_refused() -> None:
    with pytest.raises(BadInputError, match="do not divide"):
        Pixelation(5).mask(IMAGES, KEYS)
