"""The decoder: takes the head out of a picture and draws a fictitious person with the same factors.

It is not learnt. Its inputs are the pixels outside the hull, the code and the avatar, and nothing else of the
face: `remove` forgets the inside before `redraw` begins.
"""

from __future__ import annotations

import torch
from torch import Tensor

from identity_masker.faces.render import backdrop, people
from identity_masker.faces.render.geometry import Grid, Plane, by_name, place_of, plane_of, rows_of_picture
from identity_masker.faces.render.subject import paint_subject
from identity_masker.masking.hull import inside_hull
from identity_masker.masking.inpaint import fill

STRIP_PIXELS = 8 * 64 * 64
"""Pixels drawn at a time: what stays in the second-level cache."""


def mask_pictures(pictures: Tensor, code: Tensor, avatars: Tensor) -> Tensor:
    """`pictures` (N, 3, S, S) in [0, 1], masked. code (N, 16) in [-1, 1]; avatars (N, traits) in [0, 1)."""
    remaining, hole = remove(pictures, code)
    return redraw(remaining, hole, code, avatars)


def remove(pictures: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """The pictures with the hull filled from outside, and the hull (N, S, S)."""
    hole = inside_hull(_plane(code, rows_of_picture(pictures.shape[-1], device=pictures.device)))
    return fill(pictures, hole), hole


def redraw(remaining: Tensor, hole: Tensor, code: Tensor, avatars: Tensor) -> Tensor:
    """Draw the avatars into the holes of `remaining`; outside the holes nothing changes."""
    size = remaining.shape[-1]
    factors, person = by_name(code), people.from_numbers(avatars)
    drawn = remaining.clone()
    # A GPU, and the compiler, draw the picture in one piece.
    whole = remaining.is_cuda or torch.compiler.is_compiling()
    step = size if whole else max(1, STRIP_PIXELS // (size * len(code)))
    for top in range(0, size, step):
        grid = rows_of_picture(size, top, top + step, remaining.device)
        strip = drawn[:, :, top : top + step]
        plane = _plane(code, grid)
        covered = backdrop.cloth_cover(plane.body_x, plane.body_y, plane.per_pixel)
        paint_subject(strip, grid, strip.clone(), covered, person, factors)
    return torch.where(hole.unsqueeze(1), drawn, remaining)


def _plane(code: Tensor, grid: Grid) -> Plane:
    return plane_of(place_of(by_name(code)), grid)
