"""From a decoded picture of any size to the square that a dataset holds."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def square(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The central square of `pixels` (H, W, 3) at `size` × `size`, by Lanczos resampling; itself when it already is.

    The face is taken to be in the middle, as in the common collections of face photographs.
    """
    height, width = pixels.shape[:2]
    if height == width == size:
        return pixels
    left, top, side = _centre(width, height)
    image = Image.fromarray(pixels)
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))


def square_points(points: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Points (…, 2) as fractions of a `width` × `height` picture, as fractions of its central square."""
    left, top, side = _centre(width, height)
    offset = np.array([left, top], dtype=np.float32)
    scale = np.array([width, height], dtype=np.float32)
    return ((points * scale - offset) / np.float32(side)).astype(np.float32)


def resized(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Square images (N, S, S, 3) at another size."""
    if images.shape[1] == size:
        return images
    return np.stack([square(image, size) for image in images]) if len(images) else images[:, :size, :size]


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 of the width, height and bytes of `pixels` (H, W, 3): equal for the same picture in any file format."""
    digest = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[0]}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _centre(width: int, height: int) -> tuple[int, int, int]:
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side
