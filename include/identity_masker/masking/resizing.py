"""Pictures to another size as two products with a matrix, equal to torch's antialiased bilinear interpolation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=64)
def weights(side: int, size: int) -> NDArray[np.float32]:
    """W (size, side), so that W @ picture @ Wᵀ is a square picture of `side` at `size`.

    Over the source pixels of each target pixel lies a triangle as wide as it, and at least two pixels wide.
    """
    scale = side / size
    reach = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale - 0.5
    triangle = np.clip(1.0 - np.abs(np.arange(side)[None, :] - centres[:, None]) / reach, 0.0, None)
    found: NDArray[np.float32] = (triangle / triangle.sum(axis=1, keepdims=True)).astype(np.float32)
    return found
