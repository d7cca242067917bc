"""How people look in pictures, without a network: vectors by which a mix-up is found.

Three views of each picture that add to one another: its lowest frequencies (light and large shapes), how often each
brightness and colour occurs in the middle (skin, hair), and the directions of its edges cell by cell (features;
Dalal and Triggs 2005, for faces Déniz et al. 2011).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.descriptors import Floats, planes, spectrum

_LOW = 8
_CELLS, _DIRECTIONS = 7, 8
_TONES = 16
_MIDDLE = (0.2, 0.8)
_SHARES = ((0.0, 1.0), (-0.2, 0.8), (-0.8, 0.3))
"""Between which values luma, red and blue (both as differences from luma, in shares of it) are counted."""
_DARKEST = np.float32(0.05)
# The inverse spreads of the three views over 2,040 drawn faces, so that none drowns the others.
_WEIGHTS = (50.0, 8.5, 11.0)


def looks(images: NDArray[np.uint8]) -> Floats:
    """Vectors (N, 632) of `images` (N, S, S, 3), S at least 16."""
    apart = planes(images)
    luma = apart.luma
    red, blue = (apart.channels[channel] * np.float32(1 / 255) - luma for channel in (0, 2))
    frequencies = [spectrum(plane, _LOW).reshape(len(images), -1) for plane in (luma, red, blue)]
    scale = 1 / (luma + _DARKEST)
    tones = [_tones(plane, *ends) for plane, ends in zip((luma, red * scale, blue * scale), _SHARES, strict=True)]
    views = (np.concatenate(frequencies, axis=1), np.concatenate(tones, axis=1), _edges(luma))
    return np.concatenate([view * np.float32(weight) for view, weight in zip(views, _WEIGHTS, strict=True)], axis=1)


def _tones(plane: Floats, low: float, high: float) -> Floats:
    """Roots of the shares of the middle's pixels in `_TONES` steps from `low` to `high` (N, `_TONES`)."""
    begin, end = (round(plane.shape[1] * edge) for edge in _MIDDLE)
    middle = plane[:, begin:end, begin:end].reshape(len(plane), -1)
    step = ((middle - np.float32(low)) * np.float32(_TONES / (high - low))).astype(np.int32).clip(0, _TONES - 1)
    step += np.arange(len(plane), dtype=np.int32)[:, None] * _TONES
    counts = np.bincount(step.ravel(), minlength=len(plane) * _TONES).reshape(len(plane), _TONES)
    return np.sqrt(counts / middle.shape[1], dtype=np.float32, casting="same_kind")


def _edges(luma: Floats) -> Floats:
    """Roots of the mean strength of edges in each direction, of cells without the picture's rim."""
    across, down = _sobel(luma), _sobel(luma.transpose(0, 2, 1)).transpose(0, 2, 1)
    strength = np.hypot(across, down)
    turn = np.arctan2(down, across) * np.float32(_DIRECTIONS / np.pi)
    direction = turn.astype(np.int32) % _DIRECTIONS
    width = luma.shape[1] // (_CELLS + 1)
    rim = (strength.shape[1] - width * _CELLS) // 2
    inner = slice(rim, rim + width * _CELLS)
    cells = [
        np.where(direction[:, inner, inner] == one, strength[:, inner, inner], 0)
        .reshape(len(luma), _CELLS, width, _CELLS, width)
        .mean(axis=(2, 4), dtype=np.float32)
        for one in range(_DIRECTIONS)
    ]
    roots: Floats = np.sqrt(np.stack(cells, axis=1)).reshape(len(luma), -1)
    return roots


def _sobel(luma: Floats) -> Floats:
    """Differences across the columns, evened out over three rows (N, H - 2, W - 2)."""
    even = luma[:, :-2] + luma[:, 2:]
    even += luma[:, 1:-1]
    even += luma[:, 1:-1]
    difference: Floats = even[:, :, 2:] - even[:, :, :-2]
    return difference
