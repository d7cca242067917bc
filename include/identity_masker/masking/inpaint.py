"""Filling a hole from what surrounds it: the push-pull pyramid (Gortler et al., The Lumigraph, 1996)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SOLID = 4.0
"""Weight at which a coarse pixel counts as fully known; below, coarser ones help."""


def fill(pictures: Tensor, hole: Tensor, levels: int | None = None) -> Tensor:
    """`pictures` (N, 3, H, W) with the pixels of `hole` (N, H, W) replaced by a smooth continuation of the others.

    Nothing inside the hole is read: its pixels are multiplied by zero first. A picture that is all hole
    becomes black. `levels` of the pyramid: by default as many as lead to one pixel; more change nothing that a
    pixel of 8 bits shows.
    """
    known = (~hole).to(pictures.dtype).unsqueeze(1)
    if levels is None:
        levels = (min(hole.shape[-2:]) - 1).bit_length()
    return _pull(torch.where(hole.unsqueeze(1), torch.zeros_like(pictures), pictures), known, levels)


def _pull(weighted: Tensor, weight: Tensor, levels: int) -> Tensor:
    """The filled picture of colours `weighted` (already multiplied by `weight`) and weights in [0, 1]."""
    colours = weighted / weight.clamp(min=1e-6)
    if levels == 0:
        return colours
    coarse_weighted = functional.avg_pool2d(weighted, 2, ceil_mode=True, count_include_pad=False)
    coarse_weight = functional.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    certain = (coarse_weight * SOLID).clamp(max=1.0)
    scale = certain / coarse_weight.clamp(min=1e-6)
    coarse = _pull(coarse_weighted * scale, certain, levels - 1)
    push = functional.interpolate(coarse, size=weight.shape[-2:], mode="bilinear", align_corners=False)
    return colours * weight + push * (1 - weight)
