"""The only way from the face to the output: 16 numbers, clamped and rounded to few bits."""

from __future__ import annotations

from torch import Tensor

CALL_ERROR = 2e-5
"""By how much a factor may differ between a picture read alone and in a batch: matrix products add up in another order.
Differences of 1e-6 were seen."""


def quantise(factors: Tensor, bits: int) -> Tensor:
    """The code of `factors`: the nearest of 2^bits − 1 evenly spaced levels in [-1, 1], zero among them."""
    half = (1 << (bits - 1)) - 1
    levels: Tensor = (factors.clamp(-1.0, 1.0) * half).round()
    return levels / half


def near_edge(factors: Tensor, bits: int) -> Tensor:
    """Rows of `factors` (N, F) that an error of `CALL_ERROR` could give another code: (N,) bool."""
    half = (1 << (bits - 1)) - 1
    levels = factors.clamp(-1.0, 1.0) * half
    to_edge = ((levels - levels.floor()) - 0.5).abs()
    near: Tensor = (to_edge < CALL_ERROR * half).any(dim=1)
    return near
