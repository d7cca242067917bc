"""Picture formats over HTTP: which comes in, which goes out, and the encoding."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from identity_masker.faces.decode import Limits, decode
from identity_masker.serving.problem import HttpError

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
MEDIA_TYPES = {name: media_type for media_type, name in FORMATS.items()}
ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}

# PNG level 1 costs a third of the default's time for about a tenth more bytes.
_OPTIONS: dict[str, dict[str, int]] = {"PNG": {"compress_level": 1}, "JPEG": {"quality": 92}, "WEBP": {"quality": 90}}


class _Range(NamedTuple):
    """One media range of an Accept header with its weight in [0, 1]."""

    media: str
    weight: float


def check_content_type(header: str | None) -> None:
    """Raise `HttpError` 415 unless the Content-Type names a format that is read here.

    Which of them the body really is, its bytes say.
    """
    media = (header or "").split(";", 1)[0].strip().lower()
    if ALIASES.get(media, media) not in FORMATS:
        raise HttpError(
            415,
            "unsupported_media_type",
            "the content type is not a picture that is read here",
            got=media[:80] or "no content-type header",
            allowed=", ".join(FORMATS),
            fix="send the picture's bytes as the body with its content type, not as a form or as JSON",
            headers={"accept": ", ".join(FORMATS)},
        )


def negotiate(accept: str | None, same: str) -> str:
    """The format of the answer (a key of `MEDIA_TYPES`) for an Accept header and the input's format `same`.

    The highest weight wins; among equals the more specific range, then the input's own format, then PNG.
    A client that accepts none of the formats gets PNG rather than an error.
    """
    ranges = _ranges(accept)
    if not ranges:
        return same
    best, chosen = (0.0, 0, 0), "PNG"
    for media, name in FORMATS.items():
        weight, specificity = _weight(media, ranges)
        rank = (weight, specificity, 1 if name == same else 0)
        if weight > 0 and rank > best:
            best, chosen = rank, name
    return chosen


def _ranges(accept: str | None) -> list[_Range]:
    found = []
    for part in (accept or "").split(",")[:32]:
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if "/" in media:
            found.append(_Range(ALIASES.get(media, media), _quality(parameters)))
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(1.0, max(0.0, float(parameter[2:])))
            except ValueError:
                return 0.0
    return 1.0


def _weight(media: str, ranges: list[_Range]) -> tuple[float, int]:
    """The weight of the most specific range that covers `media` (RFC 9110, 12.5.1), and how specific it is."""
    for specificity, pattern in ((3, media), (2, "image/*"), (1, "*/*")):
        weights = [r.weight for r in ranges if r.media == pattern]
        if weights:
            return max(weights), specificity
    return 0.0, 0


def encode(pixels: NDArray[np.uint8], name: str) -> bytes:
    """The picture (H, W, 3) as a file of format `name`, without any metadata."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format=name, **_OPTIONS[name])
    return target.getvalue()


def warm_up() -> None:
    """Load the codecs before the first client needs them; Pillow loads each at its first use."""
    grey = np.full((16, 16, 3), 128, dtype=np.uint8)
    for name in FORMATS.values():
        decode(encode(grey, name), Limits())
