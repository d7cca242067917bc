"""Colours and painting. A colour is three channels apart, each (N, 1, 1) or a map (N, H, W).

Channels are worked on one after the other: a chunk of one channel stays in the cache, and it is small enough
that torch does not split it over threads, which costs more than it gains on cores that others use too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Colour = tuple[Tensor, Tensor, Tensor]


def constant(red: float, green: float, blue: float) -> Colour:
    return torch.tensor(red), torch.tensor(green), torch.tensor(blue)


def times(colour: Colour, factor: Colour | Tensor | float) -> Colour:
    """The colour times another, channel by channel, or times one factor."""
    red, green, blue = factor if isinstance(factor, tuple) else (factor, factor, factor)
    return colour[0] * red, colour[1] * green, colour[2] * blue


def palette(stops: Sequence[tuple[float, float, float]], position: Tensor) -> Colour:
    """The colour at `position` (N, 1, 1) in [0, 1] on a line of colours."""
    place = position * (len(stops) - 1)
    weights = [(1 - (place - index).abs()).clamp(min=0.0) for index in range(len(stops))]
    red, green, blue = torch.zeros_like(place), torch.zeros_like(place), torch.zeros_like(place)
    for weight, stop in zip(weights, stops, strict=True):
        red, green, blue = red + weight * stop[0], green + weight * stop[1], blue + weight * stop[2]
    return red, green, blue


def paint(canvas: Tensor, colour: Colour, covered: Tensor) -> None:
    """Blend `colour` into `canvas` (N, 3, H, W) in place, as far as it is covered (N, H, W)."""
    for plane, value in zip(canvas.unbind(1), colour, strict=True):
        plane.add_((value - plane).mul_(covered))


def shade(canvas: Tensor, amount: Tensor) -> None:
    """Darken (amount < 0) or brighten `canvas` in place by a relative amount (N, H, W)."""
    factor = amount + 1
    for plane in canvas.unbind(1):
        plane.mul_(factor)


def channels(picture: Tensor) -> Colour:
    """A picture (N, 3, H, W) as a colour."""
    red, green, blue = picture.unbind(1)
    return red, green, blue


def flat(colour: Colour, like: Tensor) -> Tensor:
    """A canvas (N, 3, H, W) of one colour over the pixels of the map `like` (N, H, W)."""
    canvas = like.new_empty(like.shape[0], 3, *like.shape[1:])
    for plane, value in zip(canvas.unbind(1), colour, strict=True):
        plane.copy_(value.expand(like.shape))
    return canvas
