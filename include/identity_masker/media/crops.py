"""From a face in a picture to the square crop that a masker takes, and back.

A masker has learnt from crops in which the head is in the middle and fills about two thirds of the height. What the
detector finds is smaller, from forehead to chin; the factors below were measured on drawn faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.detect import Face

Image = NDArray[np.uint8]

CROP_TO_FACE = 2.27
"""Side of the crop over the side of a square as large as the face's box."""
MIDDLE_OF_CROP = -0.045
"""How far the crop's middle lies from the box's, in heights of the box; negative is up."""
STEP = 16
"""Sides are multiples of this, so that crops of neighbouring frames can be masked in one batch."""
SMALLEST = 32
FEATHER = 0.06
"""Width of the border in which the masked crop fades into the picture, as a share of the side."""


@dataclass(frozen=True)
class Square:
    """A square in a picture, in pixels; it may reach beyond the picture's border."""

    x: float
    y: float
    side: float

    @staticmethod
    def around(face: Face) -> Square:
        """The square to crop for `face`."""
        middle = (face.top + face.bottom) / 2 + MIDDLE_OF_CROP * face.height
        return Square((face.left + face.right) / 2, middle, CROP_TO_FACE * (face.width * face.height) ** 0.5)

    def pixels(self) -> tuple[int, int, int]:
        """Left, top and side in whole pixels."""
        side = max(SMALLEST, STEP * round(self.side / STEP))
        return round(self.x - side / 2), round(self.y - side / 2), side


def cut(picture: Image, square: Square) -> Image:
    """The crop (S, S, 3); beyond the picture's border its outermost pixels are repeated."""
    left, top, side = square.pixels()
    height, width = picture.shape[:2]
    rows = np.arange(top, top + side).clip(0, height - 1)
    columns = np.arange(left, left + side).clip(0, width - 1)
    crop: Image = picture[np.ix_(rows, columns)]
    return crop


def paste(picture: Image, square: Square, masked: Image) -> None:
    """Put the masked crop into `picture`, in place; its border fades into what is there."""
    left, top, side = square.pixels()
    height, width = picture.shape[:2]
    rows = slice(max(0, top), max(0, min(height, top + side)))
    columns = slice(max(0, left), max(0, min(width, left + side)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    within = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    weight = _fade(side)[within][..., None]
    under = picture[rows, columns].astype(np.float32)
    picture[rows, columns] = np.rint(under + (masked[within] - under) * weight).astype(np.uint8)


def cover(crop: Image) -> Image:
    """What a face is covered with where it cannot be masked: the mean colour of its crop (S, S, 3)."""
    covered: Image = np.broadcast_to(np.rint(crop.mean(axis=(0, 1))).astype(np.uint8), crop.shape)
    return covered


def _fade(side: int) -> NDArray[np.float32]:
    """(S, S): 1 inside, falling to 0 at the border."""
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    ramp = (distance / (FEATHER * side)).clip(0, 1).astype(np.float32)
    return np.minimum.outer(ramp, ramp)
