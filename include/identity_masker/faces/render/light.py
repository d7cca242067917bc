"""Light: one coloured lamp and a neutral surround."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from identity_masker.faces.render.colours import Colour, times
from identity_masker.faces.render.geometry import Factors, Place, cosine, sine

AZIMUTH_RANGE = 1.15
ELEVATION_RANGE = 0.55
ELEVATION_MIDDLE = 0.35


@dataclass(frozen=True)
class Light:
    """Direction to the lamp in the head plane (x right, y down, z to the viewer), its strength and colour."""

    x: Tensor
    y: Tensor
    z: Tensor
    strength: Tensor
    tint: Colour


def light_of(factors: Factors, place: Place) -> Light:
    azimuth = factors["light_azimuth"] * AZIMUTH_RANGE
    elevation = factors["light_elevation"] * ELEVATION_RANGE + ELEVATION_MIDDLE
    x, y = sine(azimuth) * cosine(elevation), -sine(elevation)
    warm = factors["warmth"]
    return Light(
        x=x * place.roll_cos + y * place.roll_sin,
        y=y * place.roll_cos - x * place.roll_sin,
        z=cosine(azimuth) * cosine(elevation),
        strength=factors["light_strength"] * 0.36 + 0.54,
        tint=(warm * 0.17 + 1, warm * 0.02 + 1, 1 - warm * 0.24),
    )


def received(light: Light, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Light on a surface with normal (x, y, z), in [0, 1]: Lambert's cosine, wrapped a little around the edge."""
    return ((x * light.x + y * light.y + z * light.z) * 0.75 + 0.25).clamp_(min=0.0)


def illumination(light: Light, lit: Tensor) -> Colour:
    """Factor on the colours where `lit` falls on them; the lamp's colour counts only there."""
    lamp, surround = light.strength * 1.3, torch.sub(1.0, light.strength)
    red, green, blue = times(light.tint, lamp)
    return lit * red + surround, lit * green + surround, lit * blue + surround
