"""What the tests of readers share: pictures, and what a reader makes of its source."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from identity_masker.faces.decode import Limits, UndecodableError
from identity_masker.faces.readers.source import FaceInput, Reader


def picture(seed: int, form: str = "JPEG", width: int = 48, height: int = 60) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR).save(out, form)
    return out.getvalue()


def each(reader: Reader, found: Callable[[FaceInput], Any]) -> dict[str, Any]:
    """What `found` makes of each input, by name."""
    with reader.open(list(reader.listing()), 2) as opened:
        return {one.name: found(one) for one in list(opened)}


def content(one: FaceInput, limits: Limits | None = None) -> Any:
    """The content of an input, or the reason why there is none."""
    try:
        return one.read(limits or Limits())
    except UndecodableError as error:
        return error.reason


def people(reader: Reader) -> dict[str, str | None]:
    return {one.name: one.identity for one in reader.listing()}
