"""Hair, ears and neck: what belongs to the head but not to the face."""

from __future__ import annotations

import torch
from torch import Tensor

from identity_masker.faces.render import light as lighting
from identity_masker.faces.render.features import Surface
from identity_masker.faces.render.geometry import Pose
from identity_masker.faces.render.light import Light
from identity_masker.faces.render.people import Person
from identity_masker.faces.render.shapes import cover, ellipse, paint, rounded, shade, soft, wave

SHOULDERS_Y = 1.22
"""Where the cloth begins below the head's middle, in head units; the same for all people."""
HAIRY = 0.92
"""Share of people who have hair."""


def has_hair(person: Person) -> Tensor:
    """1 for most people, 0 for the bald ones."""
    return (person.baldness < HAIRY).to(torch.float32)


def back_hair(person: Person, pose: Pose, x: Tensor, y: Tensor, per_pixel: Tensor) -> Tensor:
    """Cover of the hair that falls behind the face, down to the person's hair length."""
    x = x + pose.front[0] * 0.18 * person.head_width
    length = person.hair_length.clamp(min=0.0)
    volume = person.hair_volume
    half = (person.head_width + volume) * (1 - (y - 0.5).clamp(min=0.0) * 0.18)
    skull = ellipse(x, y + 0.06, person.head_width + volume, person.head_height + volume * 0.6)
    fall = rounded(x.abs() - half, torch.maximum(-y, y - (length * 1.05 + 0.25)), 0.16)
    return cover(torch.minimum(skull, fall), per_pixel) * soft(length, 0.0, 0.08) * has_hair(person)


def neck(person: Person, x: Tensor, y: Tensor, per_pixel: Tensor) -> Tensor:
    flare = (y - 1.0).clamp(0.0, 0.45)
    half = person.neck_width + flare * flare * 1.2
    return cover(torch.maximum(x.abs() - half, -y), per_pixel)


def paint_ears(canvas: Tensor, person: Person, pose: Pose, light: Light, places: Ears, *, near: bool) -> None:
    """Ears behind the head (`near` False) or the one turned to the viewer, in front of it."""
    for side in (-1.0, 1.0):
        towards = pose.right[2] * side
        middle_x = pose.right[0] * side * 1.01 * pose.half_width * 0.98
        middle_y = (pose.right[1] * side + person.ear_height) * pose.half_height
        x, y = places.x - middle_x, places.y - middle_y
        outer = ellipse(x + 0.12 * side * y, y, 0.115 * person.ear_size, 0.20 * person.ear_size)
        seen = cover(outer, places.per_pixel)
        covered = soft(person.hair_length, 0.30, 0.12)
        seen = seen * covered * (soft(towards, 0.04, 0.22) if near else torch.ones_like(towards))
        lit = lighting.received(
            light, torch.full_like(towards, 0.55 * side), torch.zeros_like(towards), towards.clamp(min=0.0) + 0.6
        )
        paint(canvas, places.skin * 0.93 * lighting.illumination(light, lit), seen)
        inner = ellipse(x + 0.12 * side * y, y, 0.060 * person.ear_size, 0.125 * person.ear_size)
        shade(canvas, cover(inner, places.per_pixel) * seen * -0.28)


class Ears:
    """Pixels in the head plane and the colour of the skin."""

    def __init__(self, x: Tensor, y: Tensor, per_pixel: Tensor, skin: Tensor) -> None:
        self.x, self.y, self.per_pixel, self.skin = x, y, per_pixel, skin


def hair_cap(person: Person, on: Surface, shell: Tensor) -> Tensor:
    """Cover of the hair on the skull, above the hairline and behind the temples, inside the outline `shell`."""
    line = person.hairline + person.hairline_peak * on.x * on.x + person.hair_parting * on.x * 0.6
    above = line - on.y
    temple = -0.02 - on.z + 0.10 * (0.2 - on.y)
    low = on.y - (person.sideburns + person.hair_length.clamp(0.0, 0.25) * 0.8)
    sides = torch.minimum(temple, -low)
    hairy = torch.maximum(above, sides)
    return cover(-hairy, on.per_pixel) * shell * has_hair(person)


def strands(person: Person, on: Surface) -> Tensor:
    """Relative brightness of the strands, which run from the crown."""
    turn = on.x / (1.25 - on.y * 0.55) + on.z * 0.13
    stripes = wave(turn * person.hair_stripes) * 0.6 + wave(turn * person.hair_stripes * 2.7 + 0.3) * 0.4
    return stripes * 0.16
