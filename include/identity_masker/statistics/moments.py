"""Sufficient statistics of a sample of vectors: count, mean and scatter, which add up over days and partitions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats, rows


@dataclass(frozen=True)
class Moments:
    """`count` units with mean vector `mean` (p,) and `scatter` (p, p), the sum of outer products about the mean."""

    count: float
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, *columns: ArrayLike) -> Moments:
        """Moments of one or more columns of equal length, one row a unit."""
        table = np.column_stack([rows(column, "a column") for column in columns])
        mean = table.mean(axis=0)
        centred = table - mean
        return cls(float(len(table)), mean, centred.T @ centred)

    @classmethod
    def empty(cls, dimensions: int) -> Moments:
        return cls(0.0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    @classmethod
    def from_sums(cls, count: float, sums: ArrayLike, products: ArrayLike) -> Moments:
        """Moments from the sums (p,) and the raw sums of products (p, p).

        Loses digits when the mean is large beside the deviation: prefer `of` or `merged` where there is a choice.
        """
        totals = np.asarray(sums, dtype=np.float64)
        mean = totals / count
        return cls(float(count), mean, np.asarray(products, dtype=np.float64) - count * np.outer(mean, mean))

    @property
    def covariance(self) -> Floats:
        """Sample covariance (p, p), with count - 1 below. Raises `BadInputError` for fewer than two units."""
        if self.count < 2:
            raise BadInputError("a variance needs two units", got=f"{self.count:g}")
        return self.scatter / (self.count - 1.0)

    def merged(self, other: Moments) -> Moments:
        """Moments of both samples together (Chan, Golub & LeVeque, Amer. Statist. 37 (1983) 242-247)."""
        if self.mean.shape != other.mean.shape:
            raise BadInputError("moments of different dimensions", got=f"{self.mean.size} and {other.mean.size}")
        count = self.count + other.count
        if count == 0:
            return self
        gap = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.count * other.count / count)
        return Moments(count, self.mean + gap * (other.count / count), scatter)


def merge(parts: Iterable[Moments], dimensions: int) -> Moments:
    """Moments of all `parts` together."""
    return reduce(Moments.merged, parts, Moments.empty(dimensions))
