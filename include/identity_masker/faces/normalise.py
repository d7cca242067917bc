"""From a decoded picture of any size to the square that a dataset holds."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from identity_masker.faces.anchors import FRAME, similarity

_AVERAGED_FROM = 2
"""A picture that is shrunk by more is averaged first, so that no detail turns into a pattern."""


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
    if width == height:
        return points
    left, top, side = _centre(width, height)
    offset = np.array([left, top], dtype=np.float32)
    scale = np.array([width, height], dtype=np.float32)
    return ((points * scale - offset) / np.float32(side)).astype(np.float32)


def aligned(
    pixels: NDArray[np.uint8], anchors: NDArray[np.float32], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32], float]:
    """The face in `pixels` (H, W, 3), turned, scaled and moved so that its anchors come to lie at `anchors.FRAME`.

    `anchors` (5, 2) are in pixels. Gives the square (size, size, 3), the anchors as fractions of it, and the pixels of
    the source that its side is long. Beyond the picture's edge its last pixels go on.
    """
    points = anchors.astype(np.float64)
    move = similarity(points, FRAME * size)
    step = float(np.hypot(move[0, 0], move[1, 0]))
    back = np.linalg.inv(move[:, :2])
    there = ((points - move[:, 2]) @ back.T / size).astype(np.float32)
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)]) @ move[:, :2].T + move[:, 2]
    cut, offset = _cut(pixels, corners.min(axis=0) - step, corners.max(axis=0) + step)
    move[:, 2] -= offset
    image = Image.fromarray(cut)
    if (factor := int(step / _AVERAGED_FROM * 2)) > 1:
        image, move = image.reduce(factor), move / factor
    numbers = tuple(float(number) for number in move.ravel())
    square = image.transform((size, size), Image.Transform.AFFINE, numbers, Image.Resampling.BICUBIC)
    return np.asarray(square), there, step * size


def _cut(
    pixels: NDArray[np.uint8], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The box from `low` to `high` (x, y), and where it begins; beyond the picture its edge is repeated."""
    # Points that lie on one another would ask for a picture of any size.
    longest = 4 * max(pixels.shape[:2])
    left, top = np.floor(low.clip(-longest, longest)).astype(np.int64)
    right, bottom = np.ceil(high.clip(-longest, longest)).astype(np.int64)
    columns = np.arange(left, max(right, left + 1)).clip(0, pixels.shape[1] - 1)
    rows = np.arange(top, max(bottom, top + 1)).clip(0, pixels.shape[0] - 1)
    return pixels[rows[:, None], columns[None]], np.array([left, top])


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
