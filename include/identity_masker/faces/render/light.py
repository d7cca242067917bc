"""Light: one coloured lamp and a neutral surround."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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
    tint: Tensor


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
        tint=torch.stack([warm * 0.17 + 1, warm * 0.02 + 1, 1 - warm * 0.24], dim=1),
    )


def received(light: Light, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Light on a surface with normal (x, y, z), in [0, 1]: Lambert's cosine, wrapped a little around the edge."""
    return ((x * light.x + y * light.y + z * light.z) * 0.75 + 0.25).clamp_(min=0.0)


def illumination(light: Light, lit: Tensor) -> Tensor:
    """(N, 3, H, W): factor on the colours; the lamp's colour counts where its light falls."""
    surround = torch.sub(1.0, light.strength).unsqueeze(1)
    lamp = light.tint * (light.strength * 1.3).unsqueeze(1)
    return lit.unsqueeze(1) * lamp + surround
