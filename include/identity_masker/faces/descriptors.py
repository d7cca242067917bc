"""Numbers that describe a picture: the columns on which data are validated and compared.

All are computed on the normalised square, in [0, 1] unless said otherwise, over whole batches at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DESCRIPTORS = ("brightness", "contrast", "saturation", "sharpness", "dark_share", "bright_share")

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_DARK, _BRIGHT = 16 / 255, 239 / 255


def describe(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Descriptors of `images` (N, H, W, 3), one array (N,) a descriptor.

    brightness    mean luma
    contrast      standard deviation of luma, at most 0.5
    saturation    mean over pixels of (max - min) / max of the channels (S of HSV)
    sharpness     standard deviation of the 4-neighbour Laplacian of luma (Pech-Pacheco et al. 2000); at least 0
    dark_share    share of pixels with luma under 16/255
    bright_share  share of pixels with luma over 239/255
    """
    luma = _luma(images)
    found = {
        **_light(luma),
        "saturation": _saturation(images),
        "dark_share": (luma < _DARK).mean(axis=(1, 2), dtype=np.float32),
        "bright_share": (luma > _BRIGHT).mean(axis=(1, 2), dtype=np.float32),
    }
    return {name: found[name] for name in DESCRIPTORS}


def describe_light(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Brightness, contrast and sharpness as `describe` gives them, at half its cost."""
    return _light(_luma(images))


def _luma(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    luma: NDArray[np.float32] = images.astype(np.float32) @ (_LUMA / np.float32(255))
    return luma


def _light(luma: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return {
        "brightness": luma.mean(axis=(1, 2)),
        "contrast": luma.std(axis=(1, 2)),
        "sharpness": _sharpness(luma),
    }


def _saturation(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    high = images.max(axis=3)
    spread = (high - images.min(axis=3)).astype(np.float32)
    share = np.divide(spread, high, out=np.zeros_like(spread), where=high > 0)
    mean: NDArray[np.float32] = share.mean(axis=(1, 2), dtype=np.float32)
    return mean


def _sharpness(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    laplacian: NDArray[np.float32] = around - 4 * luma[:, 1:-1, 1:-1]
    spread: NDArray[np.float32] = laplacian.std(axis=(1, 2))
    return spread
