"""Numbers on a picture and on what masking made of it, for the event log: the same as those of the training data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.decode import Limits, UndecodableError, decode
from identity_masker.faces.descriptors import describe_light
from identity_masker.faces.normalise import square
from identity_masker.serving.picture_code import picture_codes, to_text

SIDE = 64
"""Datasets are described at this size, and sharpness depends on it."""

CHANGED = 16
"""Levels of 255. Encoding a picture again as JPEG moves a channel by less."""


class Appearance(NamedTuple):
    """Descriptors of the picture (`faces.descriptors`), the share of its pixels that masking changed, and the code of
    the masked picture (`picture_code`), empty where there is none."""

    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    changed: float | None = None
    masked_code: str = ""


def appearance(before: bytes, after: bytes) -> Appearance:
    """The appearance of a picture file and its masked file; all None when one of them cannot be decoded."""
    try:
        first, second = _square(before), _square(after)
    except UndecodableError:
        return Appearance()
    return compared(first, second)


def compared(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Appearance:
    """The appearance of a square (64, 64, 3) and its masked square."""
    looks = {name: float(numbers[0]) for name, numbers in describe_light(before[None]).items()}
    return Appearance(**looks, changed=_changed(before, after), masked_code=to_text(picture_codes(after[None])[0]))


def _square(content: bytes) -> NDArray[np.uint8]:
    return square(decode(content, Limits()), SIDE)


def _changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    apart = np.maximum(before, after) - np.minimum(before, after)
    red, green, blue = (apart[..., channel] > CHANGED for channel in range(3))
    return float((red | green | blue).mean())
