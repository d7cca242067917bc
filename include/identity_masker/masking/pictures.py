"""What a masker takes: pictures and their keys. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError, MaskerError

LARGEST_SIDE = 4096
SMALLEST_SIDE = 16


def margins(height: int, width: int) -> tuple[int, int, int, int]:
    """Pixels to add on the left, right, top and bottom to make a picture square around its middle."""
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    return left, side - width - left, top, side - height - top


def check_images(images: NDArray[np.uint8], keys: Sequence[str]) -> None:
    """Raises `BadInputError` where `images` and `keys` are not what `Masker.mask` takes."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise BadInputError(
            "these are not pictures", got=f"{images.dtype} {images.shape}", allowed="uint8 of shape (N, H, W, 3)"
        )
    if len(images) != len(keys) or not len(images):
        raise BadInputError(
            "pictures and keys do not match", got=f"{len(images)} and {len(keys)}", allowed="one key each"
        )
    if not SMALLEST_SIDE <= min(images.shape[1:3]) <= max(images.shape[1:3]) <= LARGEST_SIDE:
        raise BadInputError(
            "the picture's sides are out of range",
            got=f"{images.shape[2]} × {images.shape[1]}",
            allowed=f"{SMALLEST_SIDE} to {LARGEST_SIDE} pixels",
        )


def check_finite(finite: bool) -> None:
    """Raises `MaskerError` where the network gave something that is not a number."""
    if not finite:
        raise MaskerError("the masker's network gave a factor that is not a number", fix="deploy another version")
