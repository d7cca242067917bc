"""Do events come one by one, or in bursts? Measured from look to look within each arm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# One jump of the level (an incident) must not look like bursts in all looks: what one pair of looks adds is capped.
LARGEST_TERM = 16.0
# Weight of the prior "no bursts" in pairs of looks, and how much is presumed before there is anything to see.
PRIOR_PAIRS, PRIOR_EXCESS = 2.0, 0.5


class Dispersion:
    """Factor (≥ 1) by which the variance of counts exceeds Poisson's, for many streams at once.

    For counts x, y of successive looks with exposures n, m and one rate, (x·m - y·n)² / (n·m·(x + y)) is 1 on
    average when events are independent, and the mean size of a burst when they are not. A level that both looks
    share cancels. What independent events give by chance (one standard deviation) is not counted.
    """

    def __init__(self, streams: int) -> None:
        self._excess = np.zeros(streams)
        self._pairs = np.zeros(streams)
        self._before: list[tuple[Floats, Floats]] = []

    def update(self, arms: list[tuple[Floats, Floats]]) -> None:
        """Take in one look: (events, exposure) of each arm, each of shape (streams,)."""
        for (now, size), (then, size_then) in zip(arms, self._before, strict=False):
            usable = (now + then > 0.0) & (size > 0.0) & (size_then > 0.0)
            scale = np.where(usable, size * size_then * (now + then), 1.0)
            term = np.minimum((now * size_then - then * size) ** 2 / scale, LARGEST_TERM)
            self._excess += np.where(usable, term - 1.0, 0.0)
            self._pairs += usable
        self._before = arms

    @property
    def factor(self) -> Floats:
        beyond_chance = np.maximum(self._excess - np.sqrt(2.0 * self._pairs), 0.0)
        result: Floats = 1.0 + (beyond_chance + PRIOR_EXCESS) / (self._pairs + PRIOR_PAIRS)
        return result
