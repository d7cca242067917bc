from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from tests.unit.serving.support import noise

from identity_masker.errors import BadInputError
from identity_masker.serving.picture_code import LARGEST, SIZE, from_text, picture_codes, to_text


@given(st.integers(0, 2**32 - 1), st.sampled_from([16, 64]))
@settings(max_examples=30, deadline=None)
def test_luma_is_the_cosine_transform_of_scipy(seed: int, side: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    blocks = picture.reshape(16, side // 16, 16, side // 16, 3).mean(axis=(1, 3)) / 255
    waves = dctn(blocks @ [0.299, 0.587, 0.114], norm="ortho") / 16
    expected = np.array([waves[0, 0], waves[0, 1], waves[1, 0], waves[2, 0], waves[1, 1], waves[0, 2]])
    found = picture_codes(picture[None])[0, :6] / LARGEST
    np.testing.assert_allclose(found, np.sign(expected) * np.sqrt(np.abs(expected)), atol=0.6 / LARGEST)


@given(st.lists(st.integers(-127, 127), min_size=SIZE, max_size=SIZE))
def test_a_code_survives_its_text(numbers: list[int]) -> None:
    text = to_text(np.array(numbers, dtype=np.int8))
    assert len(text) == 44
    found = from_text(text)
    assert found is not None
    np.testing.assert_array_equal(np.rint(found * LARGEST), numbers)


@given(st.text(max_size=60))
def test_a_text_that_is_no_code_is_none(text: str) -> None:
    found = from_text(text)
    assert found is None or found.shape == (SIZE,)


def test_a_darker_picture_has_another_code() -> None:
    picture = noise(64)
    bright, dark = picture_codes(np.stack([picture, picture // 2]))
    assert dark[0] < bright[0]


@pytest.mark.parametrize("shape", [(1, 60, 60, 3), (1, 64, 32, 3)])
def test_a_picture_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInputError, match="has no code"):
        picture_codes(np.zeros(shape, dtype=np.uint8))
