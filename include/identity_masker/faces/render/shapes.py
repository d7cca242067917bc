"""Antialiased drawing: how much of a pixel a shape covers, and painting a colour through such a cover.

Maps are (N, H, W), canvases (N, 3, H, W), colours (N, 3, 1, 1). Only operations that IEEE 754 rounds correctly
are used (+ − × ÷ √ min max): the result does not depend on batch size, threads or vector width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cover(distance: Tensor, per_pixel: Tensor) -> Tensor:
    """Share of the pixel inside a shape; `distance` is signed, negative inside, and `per_pixel` is 1 / pixel width."""
    return torch.sub(0.5, distance * per_pixel).clamp_(0.0, 1.0)


def soft(value: Tensor, start: Tensor | float, stop: Tensor | float) -> Tensor:
    """Smooth step: 0 below `start`, 1 above `stop` (or the reverse when start > stop)."""
    span = stop - start
    step = ((value - start) / span).clamp_(0.0, 1.0)
    return step * step * (3 - 2 * step)


def ellipse(x: Tensor, y: Tensor, radius_x: Tensor | float, radius_y: Tensor | float) -> Tensor:
    """Distance to an ellipse around the origin, exact on its outline and along its axes to first order."""
    u, v = x / radius_x, y / radius_y
    if isinstance(radius_x, Tensor) or isinstance(radius_y, Tensor):
        return ((u * u + v * v).sqrt() - 1) * torch.minimum(_on(x, radius_x), _on(x, radius_y))
    return ((u * u + v * v).sqrt() - 1) * min(radius_x, radius_y)


def _on(like: Tensor, number: Tensor | float) -> Tensor:
    return number if isinstance(number, Tensor) else like.new_full((), number)


def rounded(across: Tensor, along: Tensor, radius: float) -> Tensor:
    """Distance to the intersection of two half planes with signed distances `across` and `along`, its corner round."""
    u, v = (across + radius).clamp(min=0.0), (along + radius).clamp(min=0.0)
    return (u * u + v * v).sqrt() - radius + torch.maximum(across, along).clamp(max=-radius) + radius


def wave(phase: Tensor) -> Tensor:
    """A smooth wave of period 1 in [-1, 1], made of parabolas instead of a sine."""
    part = phase - phase.floor()
    half = part * 2 - 1
    return half * (1 - half.abs()) * 4


def paint(canvas: Tensor, colour: Tensor, covered: Tensor) -> None:
    """Blend `colour`, (N, 3, 1, 1) or a whole picture, into `canvas` in place."""
    canvas.add_((colour - canvas).mul_(covered.unsqueeze(1)))


def shade(canvas: Tensor, amount: Tensor) -> None:
    """Darken (amount < 0) or brighten `canvas` in place by a relative amount (N, H, W)."""
    canvas.mul_((amount + 1).unsqueeze(1))


def rgb(like: Tensor, colour: tuple[float, float, float]) -> Tensor:
    """(1, 3, 1, 1): one colour, where `like` lives."""
    return torch.stack([like.new_full((), part) for part in colour]).reshape(1, 3, 1, 1)


def palette(stops: Sequence[tuple[float, float, float]], position: Tensor) -> Tensor:
    """(N, 3, 1, 1): the colour at `position` (N, 1, 1) in [0, 1] on a line of colours."""
    place = position * (len(stops) - 1)
    colours = position.new_zeros(position.shape[0], 3, 1, 1)
    for index, stop in enumerate(stops):
        weight = (1 - (place - index).abs()).clamp(min=0.0)
        colours = colours + weight.unsqueeze(1) * rgb(position, stop)
    return colours
