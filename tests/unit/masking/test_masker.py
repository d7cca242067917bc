from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.masking.maskers import SECRET, SMALL, faces, small_masker
from torch import Tensor

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.masking.masker import FactorBottleneckMasker
from identity_masker.masking.networks import FactorReader, Reading

IMAGES = faces(5).images


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 128), (40, 64), (97, 61), (16, 16)])
def test_a_picture_of_any_shape_comes_back_in_that_shape(height: int, width: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    masked = small_masker().mask(images, ["a", "b"])
    assert masked.shape == images.shape
    assert masked.dtype == np.uint8
    assert not np.array_equal(masked, images)


def test_equal_keys_get_equal_faces_and_the_secret_decides_which() -> None:
    same = np.repeat(IMAGES[:1], 6, axis=0)
    keys = ["a", "a", "b", "c", "d", "e"]
    masked = small_masker().mask(same, keys)
    assert np.array_equal(masked[0], masked[1])
    assert len(np.unique(masked, axis=0)) > 2
    assert not np.array_equal(masked, small_masker(secret="some other secret").mask(same, keys))


@settings(max_examples=12, deadline=None)
@given(
    shape=st.sampled_from([(64, 64), (48, 48), (97, 61), (128, 128)]),
    count=st.integers(2, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_image_is_masked_to_the_bit_alike_alone_and_in_any_batch(
    shape: tuple[int, int], count: int, seed: int
) -> None:
    masker, keys = small_masker(seed % 7), [str(row) for row in range(count)]
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape, 3), dtype=np.uint8)
    together = masker.mask(images, keys)
    for row, key in enumerate(keys):
        assert np.array_equal(masker.mask(images[row : row + 1], [key])[0], together[row])


def test_a_factor_between_two_levels_falls_alike_alone_and_in_a_batch() -> None:
    """The networks add up in another order in a batch, so that a factor may lie on the other side of the edge."""

    class Wobbling(FactorReader):
        def forward(self, pictures: Tensor) -> Reading:
            read = super().forward(pictures)
            edge = torch.full_like(read.factors, 0.5 / 31) + (1e-6 if len(pictures) > 1 else -1e-6)
            return Reading(read.place, read.pose, edge)

    masker = FactorBottleneckMasker(SMALL, Wobbling(SMALL), SECRET)
    together = masker.mask(IMAGES, list("abcde"))
    alone = [masker.mask(IMAGES[row : row + 1], [key])[0] for row, key in enumerate("abcde")]
    assert np.array_equal(together, np.stack(alone))


def test_the_input_is_not_written_to() -> None:
    images = IMAGES.copy()
    images.flags.writeable = False
    small_masker().mask(images, list("abcde"))
    assert np.array_equal(images, IMAGES)


@pytest.mark.parametrize(
    ("images", "keys"),
    [
        (IMAGES.astype(np.float32), list("abcde")),
        (IMAGES[0], ["a"]),
        (IMAGES[..., :2], list("abcde")),
        (IMAGES, ["a"]),
        (IMAGES[:0], []),
        (np.zeros((1, 8, 64, 3), np.uint8), ["a"]),
        (np.zeros((1, 20, 5000, 3), np.uint8), ["a"]),
    ],
)
def test_what_cannot_be_masked_is_refused(images: np.ndarray[Any, Any], keys: list[str]) -> None:
    with pytest.raises(BadInputError, match="expected"):
        small_masker().mask(images, keys)


def test_a_network_that_gives_no_number_raises_and_returns_nothing() -> None:
    masker = small_masker()
    with torch.no_grad():
        masker.network.look_at_face.layers[-1].bias.fill_(torch.nan)
    with pytest.raises(MaskerError, match="not a number"):
        masker.mask(IMAGES, list("abcde"))


def test_the_code_is_all_that_the_network_says() -> None:
    codes = small_masker().read(torch.rand(4, 3, 64, 64))
    assert codes.shape == (4, 16)
    levels = codes * 31
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert float(codes.abs().max()) <= 1


def test_pictures_that_do_not_fit_are_masked_in_smaller_batches(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pictures, keys = faces(10).images, [f"k{row}" for row in range(10)]
    expected, masker = small_masker().mask(pictures, keys), small_masker()
    roomy = masker._program

    def cramped(images: torch.Tensor, avatars: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return roomy(images, avatars)

    monkeypatch.setattr(masker, "_program", cramped)
    assert np.array_equal(masker.mask(pictures, keys), expected)
    assert "5 instead of 10" in caplog.text
    assert "2 instead of 5" in caplog.text
