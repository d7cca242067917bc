"""What surrounds the person: background, cloth, and the camera's noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from identity_masker.faces.render import hashing
from identity_masker.faces.render.geometry import Grid
from identity_masker.faces.render.hair import SHOULDERS_Y
from identity_masker.faces.render.scenes import GRID, Scene
from identity_masker.faces.render.shapes import cover, wave


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
    across, down = spline(x.unsqueeze(1)), spline(y.unsqueeze(1))
    canvas = scene.background.new_zeros(len(scene), 3, y.shape[-2], x.shape[-1])
    for row in range(GRID):
        line = scene.background.new_zeros(len(scene), 3, 1, x.shape[-1])
        for column in range(GRID):
            line = line + scene.background[:, :, row, column, None, None] * across[column]
        canvas.add_(line * down[row])
    bands = scene.bands.reshape(-1, 6, 1, 1)
    phase = x * (bands[:, 0] * 2 - 1) + y * (bands[:, 1] * 2 - 1)
    stripes = wave(phase * (bands[:, 2] * 3 + 0.5) + bands[:, 3])
    stripes = (stripes * (bands[:, 5] * bands[:, 5] * 5 + 1)).clamp(-1.0, 1.0)
    canvas.mul_((stripes * bands[:, 4] * bands[:, 4] * 0.25 + 1).unsqueeze(1))
    return canvas.clamp_(0.0, 1.0)


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


def cloth(scene: Scene, x: Tensor, y: Tensor, lit: Tensor) -> Tensor:
    """(N, 3, H, W): a plain or striped cloth; `lit` is the light on it."""
    numbers = scene.cloth.reshape(-1, 6, 1, 1)
    colour = numbers[:, :3] * 0.8 + 0.08
    stripes = wave(y * (numbers[:, 3] * 6 + 2) + x.abs() * 0.8).clamp_(-0.5, 0.5)
    pattern = stripes * (numbers[:, 4] - 0.5).clamp(min=0.0) * 0.8 + 1
    return colour.unsqueeze(-1).unsqueeze(-1).reshape(-1, 3, 1, 1) * (pattern * (lit * 0.35 + 0.75)).unsqueeze(1)


def add_noise(canvas: Tensor, scene: Scene) -> None:
    """Camera noise, of its own for every pixel and channel."""
    noise = torch.from_numpy(hashing.grain(scene.noise_keys.numpy().view(np.uint32), canvas[0].numel()))
    canvas.add_(noise.reshape(canvas.shape).mul_(scene.noise.reshape(-1, 1, 1, 1)))


def add_noise_on_device(canvas: Tensor, scene: Scene) -> None:
    """The same noise to the bit, by the device that holds the canvas."""
    noise = hashing.grain_on_device(scene.noise_keys, canvas[0].numel()).reshape(canvas.shape)
    canvas.add_(noise * scene.noise.reshape(-1, 1, 1, 1))
