"""The only way from the face to the output: 16 numbers, clamped and rounded to few bits."""

from __future__ import annotations

from torch import Tensor


def quantise(factors: Tensor, bits: int) -> Tensor:
    """The code of `factors`: the nearest of 2^bits − 1 evenly spaced levels in [-1, 1], zero among them."""
    half = (1 << (bits - 1)) - 1
    levels: Tensor = (factors.clamp(-1.0, 1.0) * half).round()
    return levels / half
