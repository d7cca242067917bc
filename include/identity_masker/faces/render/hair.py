"""Hair, ears and neck: the shapes of what belongs to the head but not to the face."""

from __future__ import annotations

import torch
from torch import Tensor

from identity_masker.faces.render.features import Surface
from identity_masker.faces.render.geometry import Plane, Pose
from identity_masker.faces.render.people import Person
from identity_masker.faces.render.shapes import cover, ellipse, rounded, soft, wave

SHOULDERS_Y = 1.22
"""Where the cloth begins below the head's middle, in head units; the same for all people."""
HAIRY = 0.92
"""Share of people who have hair."""


def has_hair(person: Person) -> Tensor:
    """1 for most people, 0 for the bald ones."""
    return (person.baldness < HAIRY).to(torch.float32)


def back_hair(person: Person, pose: Pose, plane: Plane) -> Tensor:
    """Cover of the hair that falls behind the face, down to the person's hair length."""
    x, y = plane.x + pose.front[0] * 0.18 * person.head_width, plane.y
    length = person.hair_length.clamp(min=0.0)
    # Short hair stays hidden behind the head.
    grown = soft(length, 0.0, 0.10)
    half_width, half_height = person.head_width * (grown * 0.1 + 0.9), person.head_height * (grown * 0.1 + 0.9)
    volume = person.hair_volume * grown
    half = (half_width + volume) * (1 - (y - 0.5).clamp(min=0.0) * 0.18)
    skull = ellipse(x, y + 0.06, half_width + volume, half_height + volume * 0.6)
    fall = rounded(x.abs() - half, torch.maximum(-y, y - (length * 1.05 + 0.25)), 0.16)
    return cover(torch.minimum(skull, fall), plane.per_pixel) * has_hair(person) * (length > 0)


def neck(person: Person, plane: Plane) -> Tensor:
    """Cover of the neck, which stays upright and widens into the shoulders."""
    flare = (plane.body_y - 1.0).clamp(0.0, 0.45)
    half = person.neck_width + flare * flare * 1.2
    return cover(torch.maximum(plane.body_x.abs() - half, -plane.body_y), plane.per_pixel)


def ear(person: Person, pose: Pose, plane: Plane, side: float) -> tuple[Tensor, Tensor]:
    """Covers of an ear and of its hollow; side −1 is the left one in the picture. Long hair hides it."""
    x = plane.x - pose.right[0] * side * 0.99 * pose.half_width
    y = plane.y - (pose.right[1] * side + person.ear_height) * pose.half_height
    slanted, size = x + 0.12 * side * y, person.ear_size
    outer = cover(ellipse(slanted, y, 0.115 * size, 0.20 * size), plane.per_pixel)
    inner = cover(ellipse(slanted, y, 0.060 * size, 0.125 * size), plane.per_pixel)
    return outer * soft(person.hair_length, 0.30, 0.12), inner


def shell_depth(grow: Tensor) -> Tensor:
    """Squared depth of a shell around the unit sphere, `grow` larger, over the sphere's outline."""
    return grow * (grow + 2) / ((grow + 1) * (grow + 1))


def hair_cap(person: Person, on: Surface, shell: Tensor) -> Tensor:
    """Cover of the hair on the skull, above the hairline and behind the temples, inside the outline `shell`."""
    line = person.hairline + person.hairline_peak * on.x * on.x + person.hair_parting * on.x * 0.6
    above = line - on.y
    temple = shell_depth(person.hair_volume).sqrt() + 0.03 - on.z
    low = on.y - (person.sideburns + person.hair_length.clamp(0.0, 0.25) * 0.8)
    sides = torch.minimum(temple, -low)
    hairy = torch.maximum(above, sides)
    return cover(-hairy, on.per_pixel) * shell * has_hair(person)


def strands(person: Person, on: Surface) -> Tensor:
    """Relative brightness of the strands, which run from the crown."""
    turn = on.x / (1.25 - on.y * 0.55) + on.z * 0.13
    stripes = wave(turn * person.hair_stripes) * 0.6 + wave(turn * person.hair_stripes * 2.7 + 0.3) * 0.4
    return stripes * 0.16
