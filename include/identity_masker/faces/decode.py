"""The guard between bytes from outside and pixels: every limit is checked before the work it limits.

Ingestion and the HTTP API both decode through here. A refusal carries a reason code that stays the same
between versions; `REASONS` says what each means.
"""

from __future__ import annotations

import io
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import BadInputError
from identity_masker.faces.formats import READABLE, format_of, header_size, scans

_ORIENTATION = 0x0112
_BOMB_PIXELS = 4_000_000
_BOMB_RATIO = 400
_MAX_SCANS = 100
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes an EXIF orientation (EXIF 2.32, tag 0x0112)."""
_BLOCK = 4096
"""Bytes. Decoders ask for 64 KiB at a time; what asks for less reads headers."""

# Pillow refuses above twice this number, and only warns above it.
_PILLOW_PIXELS = 89_478_485


class Explanation(NamedTuple):
    """A reason code in words: what is wrong, what is expected, what to do."""

    what: str
    allowed: str
    fix: str


_FORMATS = "a PNG, JPEG or WebP picture"
_AGAIN = "export or download the picture again"
REASONS = {
    "empty": Explanation("the file is empty", _FORMATS, "copy the file again from where it came"),
    "too_large": Explanation("the file is too large", "a smaller file", "save it smaller, or raise limits.max_bytes"),
    "not_an_image": Explanation("the content is not an image", _FORMATS, "remove the file, or export it as a picture"),
    "unsupported_format": Explanation("the image format is not read here", _FORMATS, "convert it to PNG or JPEG"),
    "wrong_extension": Explanation(
        "the file's extension does not fit its content", "an extension of the content's format", "rename the file"
    ),
    "too_small": Explanation("the picture is too small", "longer sides", "use a larger picture"),
    "too_many_pixels": Explanation(
        "the picture has too many pixels", "a smaller picture", "scale it down, or raise limits.max_pixels"
    ),
    "decompression_bomb": Explanation(
        "a few bytes unfold to far more than a photograph's would", "a picture of ordinary compression", _AGAIN
    ),
    "too_slow": Explanation(
        "decoding the picture takes too long",
        "a picture that is decoded at once",
        "save it as a baseline JPEG or a PNG",
    ),
    "animated": Explanation("the picture is animated", "a still picture", "save one frame as a picture"),
    "truncated": Explanation("the picture ends too early", "a whole file", "copy or download the file again"),
    "corrupt": Explanation("the picture cannot be decoded", "a whole, valid file", _AGAIN),
    "unreadable": Explanation("the file cannot be read", "a readable file", "grant the right to read it"),
    "not_a_file": Explanation("this is not a regular file", "a picture file", "remove it, or repair the link"),
    "forgotten": Explanation(
        "the person asked to be forgotten", "pictures of others", "remove their pictures from the source"
    ),
    "missing": Explanation(
        "a list names a file that is not there", "files for all names in the list", "copy the file, or correct the list"
    ),
    "several_faces": Explanation(
        "more than one face is in view", "one face", "cut the video, or let the reader take the largest face"
    ),
    "wrong_points": Explanation(
        "the five points are not those of a face in the picture",
        "eyes, nose and mouth where they are",
        "correct the points",
    ),
    "no_face": Explanation("no face was found", "a face that looks at the camera", "nothing, if nobody is in view"),
    "no_identity": Explanation(
        "nothing says whose face it is", "a picture inside one folder per person", "move it into a person's folder"
    ),
}
"""Every reason for which an input can be refused."""


class UndecodableError(BadInputError):
    """An input that is not a usable picture. `reason` is a key of `REASONS`."""

    def __init__(self, reason: str, *, got: object = None, allowed: str | None = None) -> None:
        self.reason = reason
        words = REASONS[reason]
        super().__init__(words.what, got=got, allowed=allowed or words.allowed, fix=words.fix)


class Limits(BaseModel):
    """What a picture from outside may cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=20 * 2**20, ge=1, description="Size of the file.")
    max_pixels: int = Field(default=25_000_000, ge=1, le=_PILLOW_PIXELS, description="Width times height.")
    min_side: int = Field(default=16, ge=1, description="Pixels of the shorter side.")
    decode_seconds: float = Field(
        default=10.0, gt=0, description="Processor time of decoding, looked at before each block of the file."
    )


class _Clocked(io.BytesIO):
    """A file whose blocks are given out for a time only: what decodes it in blocks then stops.

    WebP is decoded in one go; the number of its pixels alone bounds the time of that.
    """

    def __init__(self, content: bytes, seconds: float) -> None:
        super().__init__(content)
        self._seconds, self._began = seconds, time.thread_time()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size >= _BLOCK and time.thread_time() - self._began > self._seconds:
            raise UndecodableError("too_slow", allowed=f"at most {self._seconds:g} s of processor time")
        return super().read(size)


def check_bytes(size: int, limits: Limits) -> None:
    """Raise `UndecodableError` when a file of `size` bytes need not be opened."""
    if size == 0:
        raise UndecodableError("empty")
    if size > limits.max_bytes:
        raise UndecodableError("too_large", got=f"{size} bytes", allowed=f"at most {limits.max_bytes} bytes")


def decode(content: bytes, limits: Limits) -> NDArray[np.uint8]:
    """The picture in `content` as `decode_image` gives it, as an array (H, W, 3) uint8."""
    return np.ascontiguousarray(decode_image(content, limits))


def decode_image(content: bytes, limits: Limits) -> Image.Image:
    """The picture in `content` in mode RGB, upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit pictures become 8-bit RGB; what is transparent becomes white. Copying the pixels
    into an array takes a fifth of the time of decoding them, so whoever only scales or hashes them takes the image.
    Raises `UndecodableError` for everything that is not a still PNG, JPEG or WebP picture within `limits`.
    """
    image_format = _checked_format(content, limits)
    try:
        with Image.open(_Clocked(content, limits.decode_seconds), formats=[image_format]) as image:
            # The header was checked above; Pillow's reading of it may differ.
            _check_size(image.size, len(content), limits)
            if image_format != "JPEG" and getattr(image, "is_animated", False):
                raise UndecodableError("animated")
            return _upright(_rgb(image), _orientation(image))
    except (UndecodableError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UndecodableError("too_many_pixels", got=str(error)) from error
    except Exception as error:  # decoders of damaged files raise whatever their parsing ran into
        raise UndecodableError(_reason_of(error), got=f"{type(error).__name__}: {error}") from error


def _checked_format(content: bytes, limits: Limits) -> str:
    check_bytes(len(content), limits)
    image_format = format_of(content)
    if image_format is None:
        raise UndecodableError("not_an_image", got=f"a file that begins with {content[:8]!r}")
    if image_format not in READABLE:
        raise UndecodableError("unsupported_format", got=image_format)
    try:
        size = header_size(content, image_format)
    except ValueError as error:
        raise UndecodableError("corrupt", got=str(error)) from error
    if size is None:
        raise UndecodableError("truncated", got=f"a {image_format} header that ends early")
    _check_size(size, len(content), limits)
    passes = scans(content, image_format)
    if passes > _MAX_SCANS:
        raise UndecodableError("decompression_bomb", got=f"{passes} scans", allowed=f"at most {_MAX_SCANS} scans")
    return image_format


def _check_size(size: tuple[int, int], content_bytes: int, limits: Limits) -> None:
    width, height = size
    got = f"{width} × {height} pixels"
    if min(size) < limits.min_side:
        raise UndecodableError("too_small", got=got, allowed=f"sides of at least {limits.min_side} pixels")
    if width * height > limits.max_pixels:
        raise UndecodableError("too_many_pixels", got=got, allowed=f"at most {limits.max_pixels} pixels")
    if width * height > _BOMB_PIXELS and width * height * 3 > _BOMB_RATIO * content_bytes:
        raise UndecodableError("decompression_bomb", got=f"{got} in {content_bytes} bytes")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit values instead of scaling them.
        grey = (np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2))
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layers).convert("RGB")
    if image.mode == "RGB":
        image.load()
        return image
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata beside sound pixels: every viewer shows such a picture as stored
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _reason_of(error: Exception) -> str:
    text = str(error).lower()
    if "decompressed data too large" in text or "too much memory used in text" in text:
        return "decompression_bomb"
    ended = isinstance(error, EOFError) or any(word in text for word in ("truncated", "incomplete", "end of file"))
    return "truncated" if ended else "corrupt"
