"""What is kept of a column: enough to test it against another window without its rows, and mergeable."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from identity_masker.errors import BadInputError
from identity_masker.statistics.distances import rank_variance
from identity_masker.statistics.quantile_sketch import QuantileSketch, SortedSample
from identity_masker.statistics.samples import Floats
from identity_masker.statistics.stability import quantile_edges

# The square of a larger number is no longer a number: it counts as infinite.
LARGEST = 1e150
# Beyond so many distinct values only frequent ones are followed.
MOST_CATEGORIES = 100_000
# A column with more distinct values than this share of its rows names rows and has no distribution to test.
IDENTIFIER_SHARE = 0.5


@dataclass
class NumericSummary:
    """A column of numbers. NaN counts as missing; infinite values (beyond ±1e150) are counted and left out."""

    sketch: QuantileSketch = field(default_factory=QuantileSketch)
    missing: int = 0
    infinite: int = 0
    low: float = math.inf
    high: float = -math.inf
    mean: float = 0.0
    scatter: float = 0.0
    _bins: dict[int, tuple[Floats, Floats]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def count(self) -> int:
        """Finite values."""
        return self.sketch.count

    @property
    def rows(self) -> int:
        return self.count + self.missing + self.infinite

    @property
    def sd(self) -> float:
        return math.sqrt(self.scatter / (self.count - 1)) if self.count > 1 else 0.0

    @cached_property
    def ordered(self) -> SortedSample:
        return self.sketch.sorted_sample()

    @cached_property
    def rank_variance(self) -> float:
        return rank_variance(self.ordered)

    @cached_property
    def scale(self) -> float | None:
        """The spread that effects are measured in: IQR / 1.349, the deviation where that is 0; None if constant."""
        if self.count == 0 or self.low == self.high:
            return None
        lower, upper = self.ordered.quantiles([0.25, 0.75])
        return float(upper - lower) / 1.349 or self.sd or None

    def update(self, values: Floats, missing: int) -> None:
        """Add `values`, NaN and infinite ones included, and `missing` rows without a value."""
        usable = np.abs(values) <= LARGEST
        finite = values if usable.all() else values[usable]
        absent = int(np.count_nonzero(np.isnan(values))) if finite.size < values.size else 0
        self.missing += missing + absent
        self.infinite += values.size - finite.size - absent
        if finite.size:
            centred = finite - finite.mean()
            self._moments(finite.size, float(finite.mean()), float(centred @ centred))
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
            self.sketch.update(finite)
        self._forget()

    def merge(self, other: NumericSummary) -> None:
        self.missing += other.missing
        self.infinite += other.infinite
        if other.count:
            self._moments(other.count, other.mean, other.scatter)
            self.low, self.high = min(self.low, other.low), max(self.high, other.high)
            self.sketch.merge(other.sketch)
        self._forget()

    def bins(self, count: int) -> tuple[Floats, Floats]:
        """Inner edges of `count` bins of equal shares, and the observations in each; kept for the next window."""
        if count not in self._bins:
            edges = quantile_edges(self.ordered, count)
            self._bins[count] = edges, self.ordered.counts_between(edges)
        return self._bins[count]

    def _forget(self) -> None:
        """What was derived from the values so far no longer holds."""
        self._bins.clear()
        for name in ("ordered", "rank_variance", "scale"):
            self.__dict__.pop(name, None)

    def _moments(self, count: int, mean: float, scatter: float) -> None:
        """Chan, Golub & LeVeque, Amer. Statist. 37 (1983) 242-247."""
        total, gap = self.count + count, mean - self.mean
        self.scatter += scatter + gap * gap * (self.count * count / total)
        self.mean += gap * count / total


@dataclass
class CategorySummary:
    """A column of categories with the count of each.

    `rest`: rows of categories that are no longer followed; `identifier`: none is, since each row had its own.
    """

    counts: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    rest: int = 0
    identifier: bool = False

    @property
    def count(self) -> int:
        return sum(self.counts.values()) + self.rest

    @property
    def rows(self) -> int:
        return self.count + self.missing

    @property
    def names_rows(self) -> bool:
        """Whether nearly every row has a category of its own."""
        return self.identifier or len(self.counts) > IDENTIFIER_SHARE * self.count

    @property
    def complete(self) -> bool:
        """Whether every category that occurred is in `counts`."""
        return self.rest == 0

    def update(self, counts: dict[str, int], missing: int) -> None:
        self.missing += missing
        if self.identifier:
            self.rest += sum(counts.values())
            return
        if self.counts:
            for name, count in counts.items():
                self.counts[name] = self.counts.get(name, 0) + count
        else:
            self.counts = dict(counts)
        if len(self.counts) > MOST_CATEGORIES:
            self._prune()

    def merge(self, other: CategorySummary) -> None:
        self.identifier |= other.identifier
        self.update(other.counts, other.missing)
        self.rest += other.rest

    def _prune(self) -> None:
        """Keep the frequent half; what is dropped joins `rest`, also if it comes back (lossy counting)."""
        self.identifier = self.names_rows
        order = sorted(self.counts, key=self.counts.__getitem__, reverse=True)
        kept = order[: 0 if self.identifier else MOST_CATEGORIES // 2]
        before = sum(self.counts.values())
        self.counts = {name: self.counts[name] for name in kept}
        self.rest += before - sum(self.counts.values())


@dataclass(frozen=True)
class PlainSummary:
    """A column that is not tested by itself (embeddings are tested on the kept rows)."""

    rows: int = 0
    missing: int = 0
    dimensions: int | None = None

    def updated(self, rows: int, missing: int, dimensions: int | None = None) -> PlainSummary:
        known = [size for size in (self.dimensions, dimensions) if size is not None]
        if len(set(known)) > 1:
            raise BadInputError("an embedding column holds vectors of several lengths", got=sorted(set(known)))
        return replace(
            self,
            rows=self.rows + rows,
            missing=self.missing + missing,
            dimensions=known[0] if known else None,
        )


ColumnSummary = NumericSummary | CategorySummary | PlainSummary
