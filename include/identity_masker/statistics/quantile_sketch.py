"""Quantiles of a stream in fixed memory: exact while it is short, a mergeable sketch once it is long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats, sample

EXACT, SIZE = 100_000, 4_096


@dataclass(frozen=True)
class SortedSample:
    """Sorted `values` that stand for `count` observations, each for `weights` of them (None: one each).

    `effective`: how many independent observations have a distribution function as precise as this one; below
    `count` when values stand for many.
    """

    values: Floats
    weights: Floats | None
    count: float
    effective: float

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """All `values`, each for itself."""
        return cls._of_finite(sample(values, "the values", at_least=0))

    @classmethod
    def _of_finite(cls, values: Floats) -> Self:
        ordered = np.sort(values)
        return cls(ordered, None, float(ordered.size), float(ordered.size))

    def quantiles(self, shares: Floats | Sequence[float]) -> Floats:
        """Quantiles at `shares`; linear between values as `numpy.quantile` when each stands for itself."""
        if self.weights is None:
            # The values are sorted already: `numpy.quantile` would look for them again.
            place = np.multiply(shares, self.values.size - 1.0)
            lower = np.floor(place).astype(np.intp)
            upper = np.minimum(lower + 1, self.values.size - 1)
            return _between(self.values[lower], self.values[upper], place - lower)
        middle = (np.cumsum(self.weights) - 0.5 * self.weights) / self.count
        return np.interp(shares, middle, self.values)

    @cached_property
    def total(self) -> Floats:
        """How many observations the first 0, 1, 2, … values stand for."""
        return np.concatenate([[0.0], np.cumsum(np.ones(self.values.size) if self.weights is None else self.weights)])

    def below(self, places: ArrayLike, *, included: bool = False) -> Floats:
        """The share of observations below each of `places`, or at them too."""
        positions = np.searchsorted(self.values, places, side="right" if included else "left")
        return np.asarray(self._observations(positions) / self.count, dtype=np.float64)

    def counts_between(self, edges: ArrayLike) -> Floats:
        """Observations below the first of the growing inner `edges`, between each two, and from the last on."""
        places = np.searchsorted(self.values, edges, side="left")
        return np.diff(self._observations(places), prepend=0.0, append=self.count)

    def _observations(self, positions: NDArray[np.intp]) -> Floats:
        """How many observations stand before each of `positions`."""
        return positions.astype(np.float64) if self.weights is None else self.total[positions]


def _between(low: Floats, high: Floats, part: Floats) -> Floats:
    """`part` of the way from `low` to `high`, from the nearer end: to the bit as numpy's, so that ties fall alike."""
    gap = high - low
    return np.where(part < 0.5, low + gap * part, high - gap * (1.0 - part))


class QuantileSketch:
    """A distribution function built from chunks, mergeable over hours, files and machines.

    Up to `exact` values are kept as they are. Beyond, sorted runs are thinned to every s-th value with a random
    start, each kept value standing for s, and two runs of one weight are thinned together: ranks stay unbiased and
    their errors, independent of each other, add up as variances, which `rank_sd` reports.
    Source: Agarwal, Cormode, Huang, Phillips, Wei & Yi, Mergeable summaries, ACM TODS 38 (2013), section 3.
    """

    def __init__(self, exact: int = EXACT, size: int = SIZE, seed: int = 0) -> None:
        if exact < 1 or size < 2:
            raise BadInputError("the sketch is too small", got=f"exact {exact}, size {size}", allowed="1 and 2 or more")
        self.exact, self.size, self.seed = exact, size, seed
        self.count = 0
        self.variance = 0.0
        self.levels: dict[int, Floats] = {0: np.empty(0)}
        self._waiting: list[Floats] = []
        self._waiting_count = 0

    @property
    def rank_sd(self) -> float:
        """Bound on the standard deviation of a rank, as a share of all values, due to thinning."""
        return float(np.sqrt(self.variance)) / self.count if self.count else 0.0

    def update(self, values: ArrayLike) -> None:
        """Add finite `values`. Raises `BadInputError` for others."""
        added = sample(values, "the values", at_least=0)
        self.count += added.size
        self._wait(added)

    def merge(self, other: QuantileSketch) -> None:
        """Add all that `other` has seen."""
        self.count += other.count
        self.variance += other.variance
        for level, values in other.levels.items():
            if level:
                self._add(level, values)
        for values in (other.levels[0], *other._waiting):
            self._wait(values)

    def sorted_sample(self) -> SortedSample:
        """What the sketch knows, as a weighted sorted sample. A variance beside that of chance lowers `effective`."""
        self._gather()
        if set(self.levels) == {0}:
            return SortedSample._of_finite(self.levels[0])
        values = np.concatenate(list(self.levels.values()))
        weights = np.concatenate([np.full(kept.size, 2.0**level) for level, kept in self.levels.items()])
        order = np.argsort(values, kind="stable")
        # The median's rank has variance 1/4n by chance; thinning adds its own.
        effective = 0.25 / (0.25 / self.count + self.rank_sd**2)
        return SortedSample(values[order], weights[order], float(self.count), effective)

    def state(self) -> tuple[dict[str, float], Floats, NDArray[np.int64]]:
        """Numbers, values and level of each value: all that `from_state` needs."""
        self._gather()
        levels = np.concatenate([np.full(kept.size, level) for level, kept in self.levels.items()]).astype(np.int64)
        numbers = {"exact": self.exact, "size": self.size, "seed": self.seed}
        return (
            numbers | {"count": self.count, "variance": self.variance},
            np.concatenate(list(self.levels.values())),
            levels,
        )

    @classmethod
    def from_state(cls, numbers: dict[str, float], values: Floats, levels: NDArray[np.int64]) -> QuantileSketch:
        sketch = cls(int(numbers["exact"]), int(numbers["size"]), int(numbers["seed"]))
        sketch.count, sketch.variance = int(numbers["count"]), float(numbers["variance"])
        sketch.levels |= {int(level): values[levels == level] for level in np.unique(levels)}
        return sketch

    def _wait(self, values: Floats) -> None:
        self._waiting.append(values)
        self._waiting_count += values.size
        if self._waiting_count + self.levels[0].size > self.exact:
            self._gather()
            self._thin_raw()

    def _gather(self) -> None:
        if not self._waiting:
            return
        self.levels[0] = np.concatenate([self.levels[0], *self._waiting])
        self._waiting, self._waiting_count = [], 0

    def _thin_raw(self) -> None:
        """Every s-th of the raw values goes to the level of weight s; a remainder drawn at random stays."""
        raw = self.levels[0]
        rng = np.random.default_rng((self.seed, self.count))
        level = max(1, int(np.ceil(np.log2(raw.size / self.size))))
        stride = 1 << level
        staying = rng.choice(raw.size, raw.size % stride, replace=False)
        ordered = np.sort(np.delete(raw, staying))
        self.levels[0] = raw[staying]
        self.variance += stride**2 / 4.0
        self._add(level, ordered[int(rng.integers(stride)) :: stride])

    def _add(self, level: int, values: Floats) -> None:
        kept = np.concatenate([self.levels.get(level, np.empty(0)), values])
        if kept.size <= self.size:
            self.levels[level] = kept
            return
        rng = np.random.default_rng((self.seed, self.count, level))
        staying = rng.choice(kept.size, kept.size % 2, replace=False)
        self.levels[level] = kept[staying]
        ordered = np.sort(np.delete(kept, staying))
        self.variance += 4.0**level
        self._add(level + 1, ordered[int(rng.integers(2)) :: 2])
