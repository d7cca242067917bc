"""How alike two pictures are: the structural similarity of Wang et al. (IEEE TIP 2004)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SPREAD, REACH = 1.5, 3.5
"""Standard deviation of the window in pixels, and where it ends in standard deviations: 11 × 11 pixels."""
LUMINANCE, CONTRAST = 0.01**2, 0.03**2
LUMA = np.array([0.299, 0.587, 0.114], np.float32) / 255


def ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean structural similarity of the luma of pictures (N, H, W, 3); 1 for equal ones."""
    values = [
        _ssim(a.astype(np.float32) @ LUMA, b.astype(np.float32) @ LUMA) for a, b in zip(first, second, strict=True)
    ]
    return float(np.mean(values))


def _ssim(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    mean_a, mean_b = _blurred(a), _blurred(b)
    var_a, var_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    both = _blurred(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + LUMINANCE) * (2 * both + CONTRAST)
    return float(np.mean(likeness / ((mean_a**2 + mean_b**2 + LUMINANCE) * (var_a + var_b + CONTRAST))))


def _blurred(values: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = gaussian_filter(values, SPREAD, truncate=REACH)
    return found
