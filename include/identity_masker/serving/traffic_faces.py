"""Faces that were drawn ahead (scripts/draw_traffic_faces.py), so that sending traffic needs no renderer."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATH = Path(__file__).with_suffix(".webp")
SEED = 20_261
"""Of the renderer: people whom no dataset has."""

SIDE = 224
COLUMNS = 8
PEOPLE = COLUMNS * COLUMNS


@cache
def faces() -> NDArray[np.uint8]:
    """(PEOPLE, SIDE, SIDE, 3): one face a person."""
    with Image.open(PATH) as picture:
        return tiles(np.asarray(picture.convert("RGB")))


def sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One picture of `images`, for `tiles` to take apart: (COLUMNS * SIDE, COLUMNS * SIDE, 3)."""
    rows = images.reshape(COLUMNS, COLUMNS, SIDE, SIDE, 3)
    return rows.swapaxes(1, 2).reshape(COLUMNS * SIDE, COLUMNS * SIDE, 3)


def tiles(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The faces of a sheet: (PEOPLE, SIDE, SIDE, 3)."""
    rows = picture.reshape(COLUMNS, SIDE, COLUMNS, SIDE, 3)
    return rows.swapaxes(1, 2).reshape(PEOPLE, SIDE, SIDE, 3)
