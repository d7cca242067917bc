"""What surrounds the person: background, cloth, and the camera's noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from identity_masker.faces.render import hashing
from identity_masker.faces.render.colours import Colour, times
from identity_masker.faces.render.geometry import Grid
from identity_masker.faces.render.hair import SHOULDERS_Y
from identity_masker.faces.render.scenes import GRID, Scene
from identity_masker.faces.render.shapes import cover, wave

CHANNEL = 0x5BD1E995
"""Distance of the noise keys of two channels."""


def spline(position: Tensor) -> list[Tensor]:
    """Weights of `GRID` control points at `position` in [-1, 1]: uniform quadratic B-spline, they add up to 1."""
    place = (position + 1) * ((GRID - 2) / 2)
    weights = []
    for index in range(GRID):
        distance = (place - (index - 0.5)).abs()
        near = 0.75 - distance * distance
        far = (1.5 - distance).clamp(min=0.0)
        weights.append(torch.where(distance < 0.5, near, far * far * 0.5))
    return weights


def background(scene: Scene, grid: Grid) -> Tensor:
    """(N, 3, H, W): a smooth field of colours with bands across it."""
    x, y = grid.x, grid.y
    bands = scene.bands.reshape(-1, 6, 1, 1)
    phase = x * (bands[:, 0] * 2 - 1) + y * (bands[:, 1] * 2 - 1)
    stripes = wave(phase * (bands[:, 2] * 3 + 0.5) + bands[:, 3])
    stripes = (stripes * (bands[:, 5] * bands[:, 5] * 5 + 1)).clamp(-1.0, 1.0)
    factor = stripes * bands[:, 4] * bands[:, 4] * 0.25 + 1
    across, down = spline(x), spline(y)
    canvas = torch.empty(len(scene), 3, y.shape[-2], x.shape[-1])
    for channel, plane in enumerate(canvas.unbind(1)):
        lines = [_mixed(scene.background[:, channel, row], across) * down[row] for row in range(GRID)]
        plane.copy_(sum(lines[1:], start=lines[0]).mul_(factor).clamp_(0.0, 1.0))
    return canvas


def _mixed(points: Tensor, weights: list[Tensor]) -> Tensor:
    """(N, 1, W): control points (N, GRID) weighted and added in a fixed order."""
    parts = [points[:, index, None, None] * weight for index, weight in enumerate(weights)]
    return sum(parts[1:], start=parts[0])


def cloth_top(x: Tensor) -> Tensor:
    """Where the shoulders begin at x, in head units below the head's middle."""
    wide = x.abs()
    slope = (wide - 0.36).clamp(min=0.0)
    return SHOULDERS_Y + 0.10 - (wide * 0.28).clamp(max=0.10) + slope * slope * 0.45


def cloth_cover(x: Tensor, y: Tensor, per_pixel: Tensor) -> Tensor:
    """Cover of the shoulders, upright under the head; x and y in head units from its middle.

    The outline depends on nothing but the head's place and scale, so that it can be drawn again after masking.
    """
    return cover((cloth_top(x) - y) * 0.9, per_pixel)


def cloth(scene: Scene, x: Tensor, y: Tensor, lit: Tensor) -> Colour:
    """A plain or striped cloth; `lit` is the light on it."""
    red, green, blue, frequency, strength, _ = (scene.cloth[:, column].reshape(-1, 1, 1) for column in range(6))
    stripes = wave(y * (frequency * 6 + 2) + x.abs() * 0.8).clamp_(-0.5, 0.5)
    pattern = (stripes * (strength - 0.5).clamp(min=0.0) * 0.8 + 1) * (lit * 0.35 + 0.75)
    return times((red * 0.8 + 0.08, green * 0.8 + 0.08, blue * 0.8 + 0.08), pattern)


def add_noise(canvas: Tensor, scene: Scene, first_row: int) -> None:
    """Camera noise, of its own for every pixel and channel, on rows from `first_row` on."""
    _, _, height, width = canvas.shape
    level = scene.noise.reshape(-1, 1, 1)
    for channel, plane in enumerate(canvas.unbind(1)):
        noise = hashing.grain(scene.noise_keys + np.uint64(channel * CHANNEL), first_row * width, height * width)
        plane.add_(torch.from_numpy(noise).reshape(plane.shape).mul_(level))
