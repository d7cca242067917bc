"""Numbers on a picture and on what masking made of it, for the event log: the same as those of the training data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.decode import Limits, UndecodableError, decode
from identity_masker.faces.descriptors import describe_light
from identity_masker.faces.normalise import square

SIDE = 64
"""Datasets are described at this size, and sharpness depends on it."""

CHANGED = 16
"""Levels of 255. Encoding a picture again as JPEG moves a channel by less."""


class Appearance(NamedTuple):
    """Descriptors of the picture (`faces.descriptors`), and the share of its pixels that masking changed."""

    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    changed: float | None = None


def appearance(before: bytes, after: bytes) -> Appearance:
    """The appearance of a picture file and its masked file; all None when one of them cannot be decoded."""
    try:
        first, second = _square(before), _square(after)
    except UndecodableError:
        return Appearance()
    looks = {name: float(numbers[0]) for name, numbers in describe_light(first[None]).items()}
    return Appearance(**looks, changed=_changed(first, second))


def _square(content: bytes) -> NDArray[np.uint8]:
    return square(decode(content, Limits()), SIDE)


def _changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    apart = np.maximum(before, after) - np.minimum(before, after)
    red, green, blue = (apart[..., channel] > CHANGED for channel in range(3))
    return float((red | green | blue).mean())
