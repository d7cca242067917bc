"""Always-valid evidence that events are rare, whatever another arm does.

A comparison of two arms learns nothing while neither has events. This looks at one arm alone: an e-value against "in
each look an event has at least probability `level`", the mixture of likelihood ratios over smaller probabilities. Under
the null each factor has expectation at most 1 given the past, also when the probability changes from look to look.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRACTIONS = np.array([0.0, 0.1, 0.3, 0.5])
WEIGHTS = np.array([0.4, 0.2, 0.2, 0.2])


class RareEvents:
    """The e-value, look by look."""

    def __init__(self, level: float) -> None:
        """`level` in (0, 1)."""
        self._smaller = level * FRACTIONS
        self._level = level
        self._log_ratios: NDArray[np.float64] = np.zeros(FRACTIONS.size)

    def update(self, events: float, n: float) -> None:
        """Take in `events` of `n`."""
        misses = (n - events) * (np.log1p(-self._smaller) - np.log1p(-self._level))
        with np.errstate(divide="ignore"):
            hits = events * np.log(FRACTIONS) if events > 0 else 0.0
        self._log_ratios = self._log_ratios + misses + hits

    @property
    def log_rare(self) -> float:
        """Log e-value against "at least the level"."""
        return float(np.logaddexp.reduce(np.log(WEIGHTS) + self._log_ratios))
