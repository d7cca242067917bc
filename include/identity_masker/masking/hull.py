"""The region that is removed: the head of the largest person, and its neck and hair, at a pose and scale.

Its outline depends on the pose alone, so it says nothing about the person. What it must cover is tested against
the head masks of many people.
"""

from __future__ import annotations

import torch
from torch import Tensor

from identity_masker.faces.render.hair import SHOULDERS_Y
from identity_masker.faces.render.subject import Plane

HALF_WIDTH = 1.34
ABOVE = 1.36
BELOW = 1.22
FALL = 1.46
"""Lower end of the longest hair."""
CLOTH_MARGIN = 0.16


def inside_hull(plane: Plane) -> Tensor:
    """(N, H, W) bool: pixels that are removed. Lengths are in head units, with a margin for errors of the code."""
    x, y = plane.x / HALF_WIDTH, plane.y
    height = torch.where(y < 0, y / ABOVE, y / BELOW)
    x_square, y_square = x * x, height * height
    head = x_square * x_square.sqrt() + y_square * y_square.sqrt() < 1
    fall = (x.abs() < 1) & (y > 0) & (y < FALL)
    throat = plane.body_x.abs() < 0.75
    above_cloth = plane.body_y < SHOULDERS_Y + CLOTH_MARGIN
    return head | ((fall | (throat & (plane.body_y > 0))) & above_cloth)
