"""Pictures to another size, as torch's antialiased bilinear interpolation does it. Imports no torch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def resized(pictures: Floats, size: int) -> Floats:
    """Square `pictures` (N, C, S, S) as (N, C, size, size)."""
    side = pictures.shape[-1]
    if side == size:
        return pictures
    weights = _weights(side, size)
    # One picture a product: how a batch is added up must not depend on what else is in it.
    return np.stack([weights @ picture @ weights.T for picture in pictures])


@lru_cache(maxsize=64)
def _weights(side: int, size: int) -> Floats:
    """(size, side): a triangle over the source pixels of each target pixel, as wide as it, at least two pixels."""
    scale = side / size
    reach = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale - 0.5
    triangle = np.clip(1.0 - np.abs(np.arange(side)[None, :] - centres[:, None]) / reach, 0.0, None)
    weights: Floats = (triangle / triangle.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights
