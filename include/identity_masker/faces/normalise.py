"""From a decoded picture of any size to the square that a dataset holds."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from identity_masker.faces.anchors import FRAME, similarity
from identity_masker.faces.decode import UndecodableError

_WIDEST = 8
"""A face may be so many times as wide as the picture that it is said to be in."""
_FAR = 1 << 40
_AVERAGED_FROM = 2


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
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=2.0))


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

    Raises `UndecodableError` for points that lie on one another or belong to no face in this picture.
    """
    points = anchors.astype(np.float64)
    move = similarity(points, FRAME * size)
    step = float(np.hypot(move[0, 0], move[1, 0]))
    if not 1e-3 < step * size < _WIDEST * max(pixels.shape):
        raise UndecodableError("wrong_points", got=f"a face {step * size:.3g} pixels wide")
    there = ((points - move[:, 2]) @ np.linalg.inv(move[:, :2]).T / size).astype(np.float32)
    image = Image.fromarray(pixels)
    if step >= _AVERAGED_FROM:
        # So that no detail turns into a pattern, and what is cut out is small whatever the points say.
        factors = min(int(step), image.width), min(int(step), image.height)
        image, move = image.reduce(factors), move / np.array(factors)[:, None]
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)]) @ move[:, :2].T + move[:, 2]
    cut, offset = _cut(np.asarray(image), corners.min(axis=0) - 2, corners.max(axis=0) + 2)
    move[:, 2] -= offset
    numbers = tuple(float(number) for number in move.ravel())
    square = Image.fromarray(cut).transform((size, size), Image.Transform.AFFINE, numbers, Image.Resampling.BICUBIC)
    return np.asarray(square), there, step * size


def _cut(
    pixels: NDArray[np.uint8], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The box from `low` to `high` (x, y), and where it begins; beyond the picture its edge is repeated."""
    left, top = np.floor(low.clip(-_FAR, _FAR)).astype(np.int64)
    right, bottom = np.ceil(high.clip(-_FAR, _FAR)).astype(np.int64)
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
