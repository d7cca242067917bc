"""Antialiased shapes: how much of each pixel they cover.

Maps are (N, H, W). Only operations that IEEE 754 rounds correctly are used (+ − × ÷ √ min max): the result does
not depend on batch size, threads or vector width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def root(value: Tensor) -> Tensor:
    """Square root, without a gradient. torch would split it over threads at any size, which is slower."""
    return torch.from_numpy(np.sqrt(value.numpy()))


def floor(value: Tensor) -> Tensor:
    """The whole number below, without a gradient; numpy for the same reason as in `root`."""
    return torch.from_numpy(np.floor(value.numpy()))


def cover(distance: Tensor, per_pixel: Tensor) -> Tensor:
    """Share of the pixel inside a shape; `distance` is signed, negative inside, and `per_pixel` is 1 / pixel width."""
    return torch.sub(0.5, distance * per_pixel).clamp_(0.0, 1.0)


def soft(value: Tensor, start: Tensor | float, stop: Tensor | float) -> Tensor:
    """Smooth step: 0 below `start`, 1 above `stop` (or the reverse when start > stop)."""
    span = stop - start
    step = ((value - start) / torch.as_tensor(span)).clamp_(0.0, 1.0)
    return step * step * (3 - 2 * step)


def ellipse(x: Tensor, y: Tensor, radius_x: Tensor | float, radius_y: Tensor | float) -> Tensor:
    """Distance to an ellipse around the origin, exact on its outline and along its axes to first order."""
    across, along = torch.as_tensor(radius_x), torch.as_tensor(radius_y)
    u, v = x / across, y / along
    return (root(u * u + v * v) - 1) * torch.minimum(across, along)


def rounded(across: Tensor, along: Tensor, radius: float) -> Tensor:
    """Distance to the intersection of two half planes with signed distances `across` and `along`, its corner round."""
    u, v = (across + radius).clamp(min=0.0), (along + radius).clamp(min=0.0)
    return root(u * u + v * v) - radius + torch.maximum(across, along).clamp(max=-radius) + radius


def wave(phase: Tensor) -> Tensor:
    """A smooth wave of period 1 in [-1, 1], made of parabolas instead of a sine."""
    part = phase - floor(phase)
    half = part * 2 - 1
    return half * (1 - half.abs()) * 4
