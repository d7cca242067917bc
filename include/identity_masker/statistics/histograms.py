"""What histograms say about a tail: how many values lie above a bound, how fast the tail falls, a quantile.

A histogram has upper bounds b_1 < … < b_k and counts of k + 1 buckets, the last above b_k. Everything here depends on
the bounds through ratios alone: scaling all values scales quantiles and changes nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A tail that falls by less than e^0.5 or more than e^50 for each e-fold of the value is a gap in the data.
FLATTEST, STEEPEST = 0.5, 50.0


class Quantile(NamedTuple):
    """A quantile; `beyond` when it lies above the largest bound, which is then given."""

    value: float
    beyond: bool


def above(counts: Floats) -> Floats:
    """How many values lie above each bound: from (…, k + 1) bucket counts to (…, k)."""
    result: Floats = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1][..., 1:]
    return result


def tail_bound(counts: Floats, quantile: float) -> int:
    """Index of the bound whose share of values above is nearest, as a ratio, to 1 - `quantile`."""
    share = above(counts) / max(float(np.sum(counts)), 1.0)
    distance = np.abs(np.log(np.maximum(share, 1e-12)) - np.log1p(-quantile))
    return int(np.argmin(distance))


def tail_slope(counts: Floats, bounds: Floats, at: int) -> float:
    """Minus d log(share above) / d log(value) around bound `at`, from the neighbouring bounds."""
    tail = above(counts)
    low, high = max(at - 1, 0), min(at + 1, bounds.size - 1)
    while low < at and bounds[low] <= 0.0:
        low += 1
    while high > at and tail[high] <= 0.0:
        high -= 1
    if high == low or bounds[low] <= 0.0 or tail[high] <= 0.0:
        return 1.0
    slope = np.log(tail[low] / tail[high]) / np.log(bounds[high] / bounds[low])
    return float(np.clip(slope, FLATTEST, STEEPEST))


def quantile(counts: Floats, bounds: Floats, share: float) -> Quantile | None:
    """The `share` quantile by linear interpolation within its bucket; None without values."""
    total = float(np.sum(counts))
    if total == 0.0:
        return None
    cumulated = np.cumsum(counts)
    bucket = int(np.searchsorted(cumulated, share * total))
    if bucket >= bounds.size:
        return Quantile(float(bounds[-1]), True)
    low = float(bounds[bucket - 1]) if bucket else min(0.0, float(bounds[0]))
    before = float(cumulated[bucket - 1]) if bucket else 0.0
    inside = (share * total - before) / max(float(counts[bucket]), 1.0)
    return Quantile(low + inside * (float(bounds[bucket]) - low), False)
