"""Faces in a common frame: turned upright, to one size and place, by their landmarks.

Each picture has a similarity, fitted by least squares, between a model face in the unit square and its landmarks.
Points of the plane are complex numbers: `picture = turn · frame + origin`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Images = NDArray[np.uint8]
Points = NDArray[np.float32]

MODEL_FACE = np.array(
    [
        (0.30, 0.40), (0.42, 0.41), (0.58, 0.41), (0.70, 0.40), (0.36, 0.32),
        (0.64, 0.32), (0.50, 0.56), (0.40, 0.70), (0.60, 0.70), (0.50, 0.86),
    ],
    np.float32,
)  # fmt: skip
"""The ten landmarks of an upright face, in the order of `face_set.LANDMARKS`."""


@dataclass(frozen=True)
class Window:
    """A square of the frame, drawn with `size` × `size` pixels: its centre and half of its side."""

    x: float
    y: float
    half: float
    size: int


@dataclass(frozen=True)
class Frames:
    """The frames of N pictures."""

    turn: NDArray[np.complex128]
    origin: NDArray[np.complex128]

    @staticmethod
    def of(landmarks: Points) -> Frames:
        """Fit to landmarks (N, 10, 2), fractions of width and height."""
        found, model = _complex(landmarks), _complex(MODEL_FACE)
        centred = model - model.mean()
        turn = (found @ centred.conj()) / np.sum(np.abs(centred) ** 2)
        return Frames(turn, found.mean(axis=1) - turn * model.mean())

    def crop(self, images: Images, window: Window) -> Images:
        """What `window` shows of each picture (N, H, W, 3): (N, size, size, 3). Borders are repeated."""
        middle = self.origin + self.turn * complex(window.x, window.y)
        step = self.turn * 2.0 * window.half
        shift = 2.0 * middle - (1 + 1j)
        rows = [[step.real, -step.imag, shift.real], [step.imag, step.real, shift.imag]]
        maps = torch.from_numpy(np.array(rows).transpose(2, 0, 1)).float()
        grid = functional.affine_grid(maps, [len(images), 3, window.size, window.size], align_corners=False)
        pictures = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
        drawn = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        return drawn.round_().byte().permute(0, 2, 3, 1).contiguous().numpy()

    def into(self, points: Points, window: Window) -> Points:
        """Points (N, K, 2) of the pictures as fractions of the window."""
        frame = (_complex(points) - self.origin[:, None]) / self.turn[:, None]
        return _pairs((frame - complex(window.x, window.y)) / (2.0 * window.half) + (0.5 + 0.5j))

    def out_of(self, points: Points, window: Window) -> Points:
        """Points (N, K, 2), fractions of the window, as fractions of the pictures."""
        frame = (_complex(points) - (0.5 + 0.5j)) * (2.0 * window.half) + complex(window.x, window.y)
        return _pairs(frame * self.turn[:, None] + self.origin[:, None])


def _complex(points: Points) -> NDArray[np.complex128]:
    return points[..., 0].astype(np.float64) + 1j * points[..., 1].astype(np.float64)


def _pairs(points: NDArray[np.complex128]) -> Points:
    return np.stack([points.real, points.imag], axis=-1).astype(np.float32)


def resized(images: Images, size: int) -> Images:
    """Pictures (N, S, S, 3) at `size` × `size`, by area means when they shrink."""
    if images.shape[1] == size:
        return images
    pictures = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    small = functional.interpolate(pictures, size=(size, size), mode="area")
    return small.round_().byte().permute(0, 2, 3, 1).contiguous().numpy()
