"""The decode guard: sound pictures come out as upright RGB, everything else is refused for a stated reason."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from identity_masker.errors import BadInputError
from identity_masker.faces.decode import REASONS, Limits, UndecodableError, decode

LIMITS = Limits()


def picture(width: int = 40, height: int = 30) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:height, 0:width]
    red, green, blue = rows * 7 % 256, columns * 5 % 256, (rows + columns) * 3 % 256
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, data: bytes, *, before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


PNG = encoded(Image.fromarray(picture()), "PNG")
JPEG = encoded(Image.fromarray(picture()), "JPEG", quality=90)
WEBP = encoded(Image.fromarray(picture()), "WEBP", lossless=True)


def reason(content: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(UndecodableError) as caught:
        decode(content, limits)
    assert caught.value.exit_code == BadInputError.exit_code
    return caught.value.reason


def outcome(content: bytes) -> str:
    try:
        out = decode(content, Limits(max_pixels=100_000))
    except UndecodableError as error:
        return error.reason
    return "decoded" if (out.ndim, out.shape[2], out.dtype) == (3, 3, np.uint8) else f"{out.shape} {out.dtype}"


@pytest.mark.parametrize("content", [PNG, WEBP])
def test_lossless_pictures_come_out_exactly(content: bytes) -> None:
    np.testing.assert_array_equal(decode(content, LIMITS), picture())


def test_jpeg_comes_out_as_pillow_decodes_it() -> None:
    np.testing.assert_array_equal(decode(JPEG, LIMITS), np.asarray(Image.open(io.BytesIO(JPEG))))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_exif_orientation_is_applied(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(picture()), form, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    np.testing.assert_array_equal(decode(content, LIMITS), expected)


def test_damaged_exif_beside_sound_pixels_is_ignored() -> None:
    content = encoded(Image.fromarray(picture()), "JPEG", exif=b"Exif\0\0garbage-garbage-garbage")
    assert decode(content, LIMITS).shape == (30, 40, 3)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = np.linspace(0, 65535, 900).reshape(30, 30).astype(np.uint16)
    out = decode(encoded(Image.fromarray(grey), "PNG"), LIMITS)
    np.testing.assert_array_equal(out[..., 0], grey >> 8)
    np.testing.assert_array_equal(out[..., 0], out[..., 2])


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA"])
def test_other_modes_become_rgb(mode: str) -> None:
    out = decode(encoded(Image.fromarray(picture()).convert(mode), "PNG"), LIMITS)
    assert (out.shape, out.dtype) == ((30, 40, 3), np.dtype(np.uint8))


def test_cmyk_jpeg_keeps_its_colours() -> None:
    red = Image.new("RGB", (32, 32), (200, 30, 30))
    out = decode(encoded(red.convert("CMYK"), "JPEG", quality=95), LIMITS)
    assert np.abs(out.astype(int).mean(axis=(0, 1)) - [200, 30, 30]).max() < 5


def test_hidden_pixels_under_transparency_do_not_show() -> None:
    layers = np.zeros((20, 20, 4), dtype=np.uint8)
    layers[..., :3] = picture(20, 20)
    assert (decode(encoded(Image.fromarray(layers), "PNG"), LIMITS) == 255).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"hello, this is text" * 10, "not_an_image"),
        (b"PK\x03\x04" + bytes(100), "not_an_image"),
        (encoded(Image.fromarray(picture()), "GIF"), "unsupported_format"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "unsupported_format"),
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:20], "truncated"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:30], "truncated"),
        (WEBP[:20], "truncated"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "corrupt"),
        (b"\xff\xd8\xff\xe0" + b"\0\x04ab" + bytes(100), "corrupt"),
        (encoded(Image.fromarray(picture(5, 5)), "PNG"), "too_small"),
        (png_of(100_000, 100_000, zlib.compress(b"\0" * 100)), "too_many_pixels"),
        (png_of(0, 40, zlib.compress(b"")), "too_small"),
    ],
)
def test_bad_content_is_refused_with_its_reason(content: bytes, expected: str) -> None:
    assert reason(content) == expected


def test_webp_that_ends_early_is_refused() -> None:
    assert reason(WEBP[: len(WEBP) // 2]) in ("truncated", "corrupt")


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_animations_are_refused(form: str) -> None:
    frames = [Image.fromarray(np.roll(picture(), shift, axis=1)) for shift in (0, 3, 6)]
    assert reason(encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=50)) == "animated"


def test_multi_picture_jpeg_gives_its_first_picture() -> None:
    first, second = Image.fromarray(picture()), Image.fromarray(picture()[:, ::-1])
    content = encoded(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(decode(content, LIMITS).astype(int) - picture()).mean() < 5


def test_a_small_file_that_unfolds_to_many_pixels_is_refused_before_decoding() -> None:
    bomb = png_of(4500, 4500, zlib.compress(bytes(4500 * (1 + 3 * 4500)), 9))
    assert len(bomb) < 100_000
    assert reason(bomb) == "decompression_bomb"


def test_a_text_chunk_bomb_is_refused() -> None:
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50 * 2**20), 9))
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in picture()))
    assert reason(png_of(40, 30, pixels, before=text)) == "decompression_bomb"


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    assert reason(JPEG + b"\xff\xda" * 200) == "decompression_bomb"


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_decoding_ends_when_its_processor_time_is_used_up(form: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), form, **({"progressive": True} if form == "JPEG" else {}))
    decode(content, LIMITS)
    before = time.thread_time()
    with pytest.raises(UndecodableError, match="decoding the picture takes too long") as stopped:
        decode(content, LIMITS.model_copy(update={"decode_seconds": 0.005}))
    assert stopped.value.reason == "too_slow"
    assert time.thread_time() - before < 1.0


@pytest.mark.parametrize(
    ("content", "limits", "expected"),
    [
        (PNG, Limits(max_bytes=100), "too_large"),
        (PNG, Limits(max_pixels=1199), "too_many_pixels"),
        (JPEG, Limits(max_pixels=1199), "too_many_pixels"),
        (WEBP, Limits(max_pixels=1199), "too_many_pixels"),
        (PNG, Limits(min_side=31), "too_small"),
    ],
)
def test_limits_are_kept(content: bytes, limits: Limits, expected: str) -> None:
    assert reason(content, limits) == expected


def test_limits_admit_what_is_exactly_at_them() -> None:
    limits = Limits(max_bytes=len(PNG), max_pixels=1200, min_side=30)
    assert decode(PNG, limits).shape == (30, 40, 3)


def test_a_refusal_says_what_was_found_expected_and_what_to_do() -> None:
    with pytest.raises(UndecodableError, match=r"too many pixels; got 40 × 30 .* at most 9 .* to fix: scale it down"):
        decode(PNG, Limits(max_pixels=9, min_side=1))


@given(st.sampled_from([PNG, JPEG, WEBP]), st.data())
def test_damaged_pictures_decode_or_are_refused_and_nothing_else(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    assert outcome(bytes(damaged[:cut])) in {"decoded", *REASONS}


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"]))
def test_random_bytes_are_refused(content: bytes, magic: bytes) -> None:
    assert reason(magic + content) in REASONS
