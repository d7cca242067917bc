"""Intervals by bootstrap over people: pictures of one person stand or fall together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Resampling:
    """`resamples` samples of the people of `identities` (N,), each as the rows of their pictures."""

    def __init__(self, identities: NDArray[np.str_], resamples: int, confidence: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        names, owner = np.unique(identities, return_inverse=True)
        rows = [np.flatnonzero(owner == person) for person in range(len(names))]
        self._tail = (1.0 - confidence) / 2.0
        self._samples: list[Rows] = [
            np.concatenate([rows[person] for person in random.integers(0, len(names), len(names))])
            for _ in range(resamples)
        ]

    def interval(self, figure: Callable[[Rows], float]) -> tuple[float, float]:
        """Percentile interval of `figure` of rows."""
        values = [figure(rows) for rows in self._samples]
        low, high = np.quantile(values, [self._tail, 1.0 - self._tail])
        return float(low), float(high)
