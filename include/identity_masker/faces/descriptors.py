"""Numbers that describe a picture: the columns on which data are validated and compared.

All are computed over whole batches at once, on the normalised square unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

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

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32) / np.float32(255)  # ITU-R BT.601
_DARK, _BRIGHT = 16 / 255, 239 / 255
_IMMERKAER = np.float32((np.pi / 2) ** 0.5 / 6)
_LOW, _LOW_COLOUR = 8, 4
_AT_ONCE = 8


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
    return _joined(images, anchors, sides, [_pixels(planes(few)) for few in _few(images)])


def describe_all(images: NDArray[np.uint8], anchors: Floats, sides: Floats) -> tuple[dict[str, Floats], Floats]:
    """What `describe` and `embed` give of the same images, in less time than the two take."""
    found, vectors = [], []
    for few in _few(images):
        apart = planes(few)
        found.append(_pixels(apart))
        vectors.append(_embedded(apart))
    return _joined(images, anchors, sides, found), np.concatenate(vectors)


def _few(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """So few images at a time that what is computed of them stays in the processor's cache; at least once."""
    return (images[at : at + _AT_ONCE] for at in range(0, max(1, len(images)), _AT_ONCE))


def _joined(
    images: NDArray[np.uint8], anchors: Floats | None, sides: Floats | None, parts: list[dict[str, Floats]]
) -> dict[str, Floats]:
    pixels = {name: np.concatenate([part[name] for part in parts]) for name in LIGHT}
    return pixels | _face(anchors, sides, len(images))


def _pixels(apart: Planes) -> dict[str, Floats]:
    luma = apart.luma
    found = {
        **_light(luma),
        **_detail(luma),
        "saturation": _saturation(apart.channels),
        "dark_share": _share(luma < _DARK),
        "bright_share": _share(luma > _BRIGHT),
    }
    return {name: found[name] for name in LIGHT}


def describe_light(images: NDArray[np.uint8]) -> dict[str, Floats]:
    """Brightness, contrast and sharpness as `describe` gives them, at a fraction of its cost."""
    luma = planes(images).luma
    return _light(luma) | {"sharpness": _detail(luma)["sharpness"]}


def embed(images: NDArray[np.uint8]) -> Floats:
    """Vectors (N, `EMBEDDING`) of `images` (N, S, S, 3): how a picture looks from afar.

    They hold the lowest frequencies of the two-dimensional cosine transform, 8 × 8 of luma and 4 × 4 of each of the
    two colour differences, scaled so that the distance of two vectors is the root of the mean squared difference of
    the two pictures without their details, on a scale where black and white are 1 apart.
    """
    return _embedded(planes(images))


def _embedded(apart: Planes) -> Floats:
    luma = apart.luma
    parts = [spectrum(luma, _LOW)]
    for channel in (2, 0):
        difference = apart.channels[channel] * np.float32(1 / 255)
        difference -= luma
        parts.append(spectrum(difference, _LOW_COLOUR))
    return np.concatenate([part.reshape(len(luma), -1) for part in parts], axis=1)


def perceptual_hash(embeddings: Floats) -> NDArray[np.int64]:
    """64 bits an image, (N,), of vectors from `embed`: alike pictures differ in few of them (Zauner 2010, pHash).

    Bit k tells whether the k-th of the 8 × 8 lowest frequencies of luma, without the mean, is above their median.
    """
    spectrum = embeddings[:, : _LOW * _LOW].copy()
    spectrum[:, 0] = np.median(spectrum[:, 1:], axis=1)
    bits = spectrum > np.median(spectrum[:, 1:], axis=1, keepdims=True)
    hashes: NDArray[np.int64] = np.packbits(bits, axis=1).view(">i8")[:, 0].astype(np.int64)
    return hashes


class Planes(NamedTuple):
    """Images apart by channel: `channels` (3, N, H, W) uint8, and their luma (N, H, W) in [0, 1]."""

    channels: NDArray[np.uint8]
    luma: Floats


def planes(images: NDArray[np.uint8]) -> Planes:
    """`images` (N, H, W, 3) apart by channel."""
    channels = np.ascontiguousarray(images.transpose(3, 0, 1, 2))
    luma = channels[0] * _LUMA[0]
    for channel in (1, 2):
        luma += channels[channel] * _LUMA[channel]
    return Planes(channels, luma)


def _light(luma: Floats) -> dict[str, Floats]:
    return {"brightness": luma.mean(axis=(1, 2)), "contrast": _spread(luma)}


def _spread(planes: Floats) -> Floats:
    """The standard deviation of each plane (N,)."""
    centred = planes - planes.mean(axis=(1, 2), keepdims=True)
    spread: Floats = np.sqrt(np.einsum("nij,nij->n", centred, centred) / (planes[0].size if len(planes) else 1))
    return spread.astype(np.float32)


def _share(chosen: NDArray[np.bool_]) -> Floats:
    counts = np.count_nonzero(chosen, axis=(1, 2))
    share: Floats = (counts / (chosen.shape[1] * chosen.shape[2])).astype(np.float32)
    return share


def _saturation(channels: NDArray[np.uint8]) -> Floats:
    # Channel against channel: numpy's maximum along an axis of 3 takes twenty times as long.
    red, green, blue = channels
    high = np.maximum(np.maximum(red, green), blue)
    spread = high - np.minimum(np.minimum(red, green), blue)
    share = spread.astype(np.float32)
    share /= np.maximum(high, 1)
    mean: Floats = share.mean(axis=(1, 2), dtype=np.float32)
    return mean


def _detail(luma: Floats) -> dict[str, Floats]:
    rows = _bend(luma, 1)
    laplacian = rows[:, :, 1:-1] + _bend(luma[:, 1:-1], 2)
    # The difference of two Laplacians, [1 -2 1]' [1 -2 1], does not see edges and is blind to light.
    both = _bend(rows, 2)
    level: Floats = np.abs(both, out=both).mean(axis=(1, 2), dtype=np.float32)
    return {"sharpness": _spread(laplacian), "noise": level * _IMMERKAER}


def _bend(planes: Floats, axis: int) -> Floats:
    """Second differences along `axis`: two values fewer than `planes` (N, H, W) has."""
    before, middle, after = (
        (planes[:, at : planes.shape[1] - 2 + at] if axis == 1 else planes[:, :, at : planes.shape[2] - 2 + at])
        for at in range(3)
    )
    bent: Floats = before + after
    bent -= middle
    bent -= middle
    return bent


def _face(anchors: Floats | None, sides: Floats | None, count: int) -> dict[str, Floats]:
    if anchors is None or sides is None:
        return dict.fromkeys(FACE, np.full(count, np.nan, dtype=np.float32))
    points = anchors.reshape(count, -1).T
    return dict(zip(FACE, (eye_distance(anchors, sides), *pose(anchors), *points), strict=True))


def spectrum(planes: Floats, low: int) -> Floats:
    """The `low` × `low` lowest frequencies of square `planes` (N, S, S), scaled as `embed` says: (N, low, low)."""
    basis = _cosines(planes.shape[1], low)
    lowest: Floats = np.matmul(basis @ planes, basis.T, dtype=np.float32)
    return lowest


@cache
def _cosines(size: int, low: int) -> Floats:
    """The first `low` rows of the orthonormal DCT-II of `size` points, over its root: (low, size)."""
    wave, at = np.arange(low)[:, None], np.arange(size)[None]
    basis = np.cos(np.pi * wave * (2 * at + 1) / (2 * size)) * np.sqrt(2)
    basis[0] = 1
    scaled: Floats = (basis / size).astype(np.float32)
    return scaled
