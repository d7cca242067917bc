"""Faces in memory: what readers give, and what training and evaluation take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FACTORS = (
    "yaw", "pitch", "roll", "shift_x", "shift_y", "scale",
    "gaze_x", "gaze_y", "blink", "brow", "mouth_open", "smile",
    "light_azimuth", "light_elevation", "light_strength", "warmth",
)  # fmt: skip
"""Everything about a picture of a face that is not the person; each in [-1, 1]."""

LANDMARKS = 10
"""Eye corners (4), brow middles (2), nose tip, mouth corners (2), chin."""


@dataclass(frozen=True)
class FaceSet:
    """Aligned arrays, one row an image.

    images      (N, H, W, 3) uint8, RGB
    identities  (N,) str, the person
    factors     (N, 16) float32 in [-1, 1] in the order of `FACTORS`, or None where nobody labelled them
    landmarks   (N, 10, 2) float32, x and y as fractions of width and height, or None
    """

    images: NDArray[np.uint8]
    identities: NDArray[np.str_]
    factors: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> FaceSet:
        """The given rows, in the given order."""
        return FaceSet(
            self.images[rows],
            self.identities[rows],
            None if self.factors is None else self.factors[rows],
            None if self.landmarks is None else self.landmarks[rows],
        )
