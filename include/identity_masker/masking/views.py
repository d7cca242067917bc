"""Three looks at a picture, each closer than the one before: the whole, the head upright, the face unrolled.

A view is sampled where earlier readings say the head is, so that the next network finds eyes and mouth at the
same places in every picture (the cascade of Dollár, Welinder, Perona: Cascaded pose regression, CVPR 2010).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from identity_masker.faces.face_set import FACTORS
from identity_masker.faces.render import people
from identity_masker.faces.render.geometry import Factors, from_head_plane, place_of, pose_of, project


def columns(*names: str) -> list[int]:
    return [FACTORS.index(name) for name in names]


def pick(factors: Tensor, chosen: list[int]) -> Tensor:
    """(N, len(chosen)): these columns of factors (N, 16). A list as the index would have to travel to a GPU."""
    return torch.stack([factors[:, column] for column in chosen], dim=1)


PLACE = columns("roll", "shift_x", "shift_y", "scale")
POSE = columns("yaw", "pitch", "roll", "shift_x", "shift_y", "scale")
LIGHT = columns("light_azimuth", "light_elevation", "light_strength", "warmth")
EXPRESSION = columns("gaze_x", "gaze_y", "blink", "brow", "mouth_open", "smile")

FARTHEST = 1.3
"""Readings outside the range of the factors are followed this far."""
HEAD_BOX = (1.10, -0.95, 1.40)
"""Half width, top and bottom of the upright view, in head units."""
FACE_BOX = (0.80, -0.62, 0.84)
"""Half width, top and bottom of the unrolled view, in face coordinates."""


def whole(pictures: Tensor, size: int) -> Tensor:
    """(N, 3, size, size): all of the picture, smaller."""
    return functional.avg_pool2d(pictures, pictures.shape[-1] // size)


def upright(pictures: Tensor, place: Tensor, size: int) -> Tensor:
    """(N, 3, size, size): the head put upright and scaled; place (N, 4) as in `PLACE`."""
    x, y = _lattice(HEAD_BOX, size, pictures.device)
    return _sample(pictures, *from_head_plane(place_of(_named(place, PLACE)), x, y))


def unrolled(pictures: Tensor, pose: Tensor, size: int) -> Tensor:
    """(N, 3, size, size): the face as from the front, on the head of the mean person; pose (N, 6) as in `POSE`."""
    x, y = _lattice(FACE_BOX, size, pictures.device)
    mean = people.from_numbers(pictures.new_full((1, len(people.TRAITS)), 0.5))
    return _sample(pictures, *project(pose_of(mean, _named(pose, POSE)), x, y))


def _lattice(box: tuple[float, float, float], size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    half_width, top, bottom = box
    middles = (torch.arange(size, dtype=torch.float32, device=device) + 0.5) / size
    return ((middles * 2 - 1) * half_width).reshape(1, 1, size), (middles * (bottom - top) + top).reshape(1, size, 1)


def _named(values: Tensor, names: list[int]) -> Factors:
    held = values.clamp(-FARTHEST, FARTHEST)
    return {FACTORS[name]: held[:, column].reshape(-1, 1, 1) for column, name in enumerate(names)}


def _sample(pictures: Tensor, x: Tensor, y: Tensor) -> Tensor:
    shape = (pictures.shape[0], y.shape[-2], x.shape[-1])
    grid = torch.stack([x.expand(shape), y.expand(shape)], dim=-1)
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
