"""The region that is removed: the head of the largest person, and its neck and hair, at a pose and scale.

Its outline depends on the pose alone, so it says nothing about the person. What it must cover is tested against
the head masks of many people.
"""

from __future__ import annotations

import torch
from torch import Tensor

from identity_masker.faces.render import backdrop
from identity_masker.faces.render.geometry import Plane

HALF_WIDTH = 1.32
ABOVE = 1.46
BELOW = 1.24
FALL = 1.45
"""Lower end of the longest hair."""
CLOTH_MARGIN = 0.13


def inside_hull(plane: Plane) -> Tensor:
    """(N, H, W) bool: pixels that are removed. Lengths are in head units, with a margin for errors of the code.

    A superellipse holds the skull, a box the hair that falls; cloth is left where it can cover neck and hair.
    """
    x, y = (plane.x / HALF_WIDTH).abs(), plane.y
    height = torch.where(y < 0, -y / ABOVE, y / BELOW)
    head = x * x * x + height * height * height < 1
    fall = (x < 1) & (y > 0) & (y < FALL)
    bare = plane.body_y < backdrop.cloth_top(plane.body_x) + CLOTH_MARGIN
    return head | (fall & bare)
