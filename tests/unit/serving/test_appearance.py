from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.serving.support import noise

from identity_masker.faces.descriptors import describe
from identity_masker.faces.normalise import square
from identity_masker.serving.appearance import SIDE, Appearance, appearance
from identity_masker.serving.pictures import encode


@given(st.integers(0, 100), st.integers(16, 150))
@settings(max_examples=15, deadline=None)
def test_numbers_are_those_of_a_dataset_with_this_picture(seed: int, side: int) -> None:
    picture = noise(side, seed)
    expected = describe(square(picture, SIDE)[None])
    found = appearance(encode(picture, "PNG"), encode(255 - picture, "PNG"))
    for name in ("brightness", "contrast", "sharpness"):
        assert getattr(found, name) == pytest.approx(float(expected[name][0]), rel=1e-5)


def test_changed_is_the_share_of_pixels_that_look_different() -> None:
    before = np.full((64, 64, 3), 100, dtype=np.uint8)
    after = before.copy()
    after[:16, :, 1] = 160
    after[16:32] = 110
    assert appearance(encode(before, "PNG"), encode(after, "PNG")).changed == 0.25


def test_encoding_alone_changes_nothing() -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.uint8)[:, None, None], (64, 64, 3)).copy()
    found = appearance(encode(smooth, "PNG"), encode(smooth, "JPEG"))
    assert found.changed == 0.0


@pytest.mark.parametrize("content", [b"", b"no picture", encode(noise(), "PNG")[:200]])
def test_what_cannot_be_decoded_has_no_numbers(content: bytes) -> None:
    whole = encode(noise(), "PNG")
    assert appearance(content, whole) == appearance(whole, content) == Appearance()
