"""Numbers that describe a picture: the columns on which data are validated and compared.

All are computed over whole batches at once, on the normalised square unless said otherwise.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.anchors import ANCHORS, eye_distance, pose

LIGHT = ("brightness", "contrast", "saturation", "sharpness", "noise", "dark_share", "bright_share")
"""Descriptors of the pixels, each in [0, 1] unless `describe` says otherwise."""

FACE = ("face_size", "yaw", "pitch", "roll", *(f"{anchor}_{axis}" for anchor in ANCHORS for axis in "xy"))
"""Descriptors of the face, NaN for a picture whose anchors nobody knows."""

DESCRIPTORS = (*LIGHT, *FACE)

EMBEDDING = 96
"""Length of `embed`'s vectors."""

Floats = NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_DARK, _BRIGHT = 16 / 255, 239 / 255
_IMMERKAER = np.float32((np.pi / 2) ** 0.5 / 6)
_LOW, _LOW_COLOUR = 8, 4


def describe(
    images: NDArray[np.uint8], anchors: Floats | None = None, sides: Floats | None = None
) -> dict[str, Floats]:
    """Descriptors of `images` (N, H, W, 3), one array (N,) a descriptor.

    brightness    mean luma
    contrast      standard deviation of luma, at most 0.5
    saturation    mean over pixels of (max - min) / max of the channels (S of HSV)
    sharpness     standard deviation of the 4-neighbour Laplacian of luma (Pech-Pacheco et al. 2000); at least 0
    noise         estimated standard deviation of noise in luma (Immerkær 1996); at least 0
    dark_share    share of pixels with luma under 16/255
    bright_share  share of pixels with luma over 239/255
    face_size     pixels between the eyes in the source, where the square had `sides` (N,) pixels
    yaw, pitch, roll   degrees, as in `anchors.pose`
    eye_left_x …  `anchors` (N, 5, 2) themselves, as fractions of the square
    """
    luma = _luma(images)
    found = {
        **_light(luma),
        "saturation": _saturation(images),
        "noise": _noise(luma),
        "dark_share": _share(luma < _DARK),
        "bright_share": _share(luma > _BRIGHT),
        **_face(anchors, sides, len(images)),
    }
    return {name: found[name] for name in DESCRIPTORS}


def describe_light(images: NDArray[np.uint8]) -> dict[str, Floats]:
    """Brightness, contrast and sharpness as `describe` gives them, at a fraction of its cost."""
    return _light(_luma(images))


def embed(images: NDArray[np.uint8]) -> Floats:
    """Vectors (N, `EMBEDDING`) of `images` (N, S, S, 3): how a picture looks from afar.

    They hold the lowest frequencies of the two-dimensional cosine transform, 8 × 8 of luma and 4 × 4 of each of the
    two colour differences, scaled so that the distance of two vectors is the root of the mean squared difference of
    the two pictures without their details, on a scale where black and white are 1 apart.
    """
    luma = _luma(images)
    planes = images.astype(np.float32) * np.float32(1 / 255)
    parts = [_spectrum(luma, _LOW)]
    parts += [_spectrum(planes[..., channel] - luma, _LOW_COLOUR) for channel in (2, 0)]
    return np.concatenate([part.reshape(len(images), -1) for part in parts], axis=1)


def perceptual_hash(embeddings: Floats) -> NDArray[np.int64]:
    """64 bits an image, (N,), of vectors from `embed`: alike pictures differ in few of them (Zauner 2010, pHash).

    Bit k tells whether the k-th of the 8 × 8 lowest frequencies of luma, without the mean, is above their median.
    """
    spectrum = embeddings[:, : _LOW * _LOW].copy()
    spectrum[:, 0] = np.median(spectrum[:, 1:], axis=1)
    bits = spectrum > np.median(spectrum[:, 1:], axis=1, keepdims=True)
    hashes: NDArray[np.int64] = np.packbits(bits, axis=1).view(">i8")[:, 0].astype(np.int64)
    return hashes


def _luma(images: NDArray[np.uint8]) -> Floats:
    luma: Floats = images.astype(np.float32) @ (_LUMA / np.float32(255))
    return luma


def _light(luma: Floats) -> dict[str, Floats]:
    return {
        "brightness": luma.mean(axis=(1, 2)),
        "contrast": luma.std(axis=(1, 2)),
        "sharpness": _sharpness(luma),
    }


def _share(chosen: NDArray[np.bool_]) -> Floats:
    counts = np.count_nonzero(chosen, axis=(1, 2))
    share: Floats = (counts / (chosen.shape[1] * chosen.shape[2])).astype(np.float32)
    return share


def _saturation(images: NDArray[np.uint8]) -> Floats:
    # Channel against channel: numpy's maximum along an axis of 3 takes twenty times as long.
    red, green, blue = (np.ascontiguousarray(images[..., channel]) for channel in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    spread = high - np.minimum(np.minimum(red, green), blue)
    share = spread.astype(np.float32) / np.maximum(high, 1)
    mean: Floats = share.mean(axis=(1, 2), dtype=np.float32)
    return mean


def _sharpness(luma: Floats) -> Floats:
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    laplacian: Floats = around - 4 * luma[:, 1:-1, 1:-1]
    spread: Floats = laplacian.std(axis=(1, 2))
    return spread


def _noise(luma: Floats) -> Floats:
    # The difference of two Laplacians, [1 -2 1]' [1 -2 1], does not see edges and is blind to light.
    rows = luma[:, :-2] - 2 * luma[:, 1:-1] + luma[:, 2:]
    both = rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    level: Floats = np.abs(both).mean(axis=(1, 2), dtype=np.float32)
    return level * _IMMERKAER


def _face(anchors: Floats | None, sides: Floats | None, count: int) -> dict[str, Floats]:
    if anchors is None or sides is None:
        return dict.fromkeys(FACE, np.full(count, np.nan, dtype=np.float32))
    points = anchors.reshape(count, -1).T
    return dict(zip(FACE, (eye_distance(anchors, sides), *pose(anchors), *points), strict=True))


def _spectrum(planes: Floats, low: int) -> Floats:
    basis = _cosines(planes.shape[1], low)
    spectrum: Floats = np.matmul(basis @ planes, basis.T, dtype=np.float32)
    return spectrum


@cache
def _cosines(size: int, low: int) -> Floats:
    """The first `low` rows of the orthonormal DCT-II of `size` points, over its root: (low, size)."""
    wave, at = np.arange(low)[:, None], np.arange(size)[None]
    basis = np.cos(np.pi * wave * (2 * at + 1) / (2 * size)) * np.sqrt(2)
    basis[0] = 1
    scaled: Floats = (basis / size).astype(np.float32)
    return scaled
