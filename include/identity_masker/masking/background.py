"""What a masker does around the head: the background is not identity and should come back as it was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEAD_REACH = 2.1
"""Radius of the disc taken for head and hair, in distances from the middle of the face to its farthest landmark."""

MAX_PSNR = 99.0
"""Stands for no difference at all, where the ratio is infinite."""


def outside_head(landmarks: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels (N, H, W) that are surely not head or hair. landmarks (N, 10, 2) are fractions of width and height."""
    points = landmarks * np.array([width, height], np.float32)
    middle = points.mean(axis=1)
    radius = HEAD_REACH * np.linalg.norm(points - middle[:, None], axis=-1).max(axis=1)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    distance = np.hypot(columns - middle[:, 0, None, None], rows - middle[:, 1, None, None])
    outside: NDArray[np.bool_] = distance > radius[:, None, None]
    return outside


def background_psnr(
    clear: NDArray[np.uint8], masked: NDArray[np.uint8], landmarks: NDArray[np.float32]
) -> float | None:
    """Peak signal-to-noise ratio in dB over all background pixels; None when the heads fill the pictures."""
    outside = outside_head(landmarks, *clear.shape[1:3])
    if not outside.any():
        return None
    difference = clear[outside].astype(np.float32) - masked[outside].astype(np.float32)
    error = float(np.mean(difference**2))
    return MAX_PSNR if error == 0.0 else min(MAX_PSNR, float(10.0 * np.log10(255.0**2 / error)))
