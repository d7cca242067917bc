"""Maskers whose results are known beforehand: they calibrate the attackers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError

Images = NDArray[np.uint8]


class IdentityMap:
    """Returns its input: all of the identity is left, any attacker must find it."""

    architecture = "identity"
    size = 64

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        return images.copy()


class Pixelation:
    """Replaces blocks of `pixel` × `pixel` by their mean: looks anonymous and is not (McPherson et al., 2016)."""

    architecture = "pixelation"
    size = 64

    def __init__(self, pixel: int) -> None:
        self.pixel = pixel

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        """Raises `BadInputError` when the blocks do not divide the pictures."""
        count, height, width, _ = images.shape
        edge = self.pixel
        if height % edge or width % edge:
            raise BadInputError(
                "the blocks of the pixelation do not divide the pictures",
                got=f"{edge} px in {height} × {width}",
                fix="set evaluation.power.pixel to a divisor of evaluation.size",
            )
        blocks = images.reshape(count, height // edge, edge, width // edge, edge, 3)
        means = np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
        pixelated: Images = means.repeat(edge, axis=1).repeat(edge, axis=2)
        return pixelated


class BlackBox:
    """Blackens the picture: nothing is left, every attacker must guess."""

    architecture = "black"
    size = 64

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        return np.zeros_like(images)
