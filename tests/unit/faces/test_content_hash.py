from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from PIL import Image

from identity_masker.faces.content_hash import content_hash
from identity_masker.faces.decode import Limits, decode, decode_image

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def expected(pixels: np.ndarray) -> str:
    """As the docstring defines it, of an array."""
    four = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, dtype=np.uint8)], axis=2)
    return blake3(f"{pixels.shape[1]}x{pixels.shape[0]}\n".encode() + four.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("form", "mode"),
    [*(("PNG", mode) for mode in ("RGB", "L", "1", "P", "LA", "RGBA")), ("WEBP", "RGB"), ("WEBP", "RGBA")],
)
def test_a_picture_hashes_as_its_pixels_whatever_its_mode(form: str, mode: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    content = saved(Image.fromarray(PIXELS).convert(mode), form, **options)
    assert content_hash(decode_image(content, Limits())) == expected(decode(content, Limits()))


def test_a_jpeg_hashes_as_a_lossless_copy_of_it() -> None:
    jpeg = saved(Image.fromarray(PIXELS), "JPEG", quality=90)
    copy = saved(Image.open(io.BytesIO(jpeg)), "PNG")
    assert content_hash(decode_image(jpeg, Limits())) == content_hash(decode_image(copy, Limits()))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_picture_hashes_as_it_is_shown(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(Image.fromarray(PIXELS), "PNG", exif=exif)
    assert content_hash(decode_image(content, Limits())) == expected(decode(content, Limits()))


def test_a_picture_that_pillow_keeps_in_pieces_hashes_as_any_other() -> None:
    large = np.random.default_rng(1).integers(0, 256, (2100, 2100, 3), dtype=np.uint8)
    assert content_hash(large) == expected(large)


def test_pictures_of_the_same_bytes_and_other_shape_hash_differently() -> None:
    assert content_hash(np.zeros((4, 6, 3), np.uint8)) != content_hash(np.zeros((6, 4, 3), np.uint8))
