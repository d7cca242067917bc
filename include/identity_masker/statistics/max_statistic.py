"""Many columns at once: which of them differ between two groups of rows, whatever ties the columns to each other.

The largest of all differences is compared with the largest under permuted group labels (Westfall & Young,
Resampling-based multiple testing, 1993): correlated columns count as the few that they are, where Bonferroni
counts each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats, sample

Flags = NDArray[np.float32]
# Shares at which a numeric column is cut: a shift moves the middle ones, a change of spread the outer ones.
CUTS = np.array([1, 2, 4, 6, 8, 10, 12, 14, 15]) / 16.0
MOST_CATEGORIES = 12
PERMUTED_ROWS = 1_000
OTHER_ROWS = 4
AT_ONCE = 500


class MaxStatistic(NamedTuple):
    """For each column its largest standardised difference and its p-value, adjusted for all columns."""

    statistics: Floats
    p_values: Floats


def numeric_flags(values: ArrayLike) -> Flags:
    """Which of the pooled `values` (N,) lie above each of their own quantiles: (N, cuts). NaN lies above none."""
    column = np.asarray(values, dtype=np.float64)
    present = column[np.isfinite(column)]
    cuts = np.unique(np.quantile(present, CUTS)) if present.size else np.empty(0)
    # A constant column is above its only value nowhere; the share of missing values is tested elsewhere.
    return np.asarray(column[:, None] > cuts[None, :], dtype=np.float32)


def category_flags(codes: ArrayLike) -> Flags:
    """Which of the pooled whole numbers `codes` (N,) are each of the most frequent; negative means missing."""
    column = np.asarray(codes)
    found, counts = np.unique(column[column >= 0], return_counts=True)
    frequent = found[np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]]
    return np.asarray(column[:, None] == frequent[None, :], dtype=np.float32)


def max_statistic(
    columns: list[Flags], first: int, permutations: int = 1_999, seed: int = 0, *, rows: int = PERMUTED_ROWS
) -> MaxStatistic:
    """Test every column of flags (N, any) for a difference between the first `first` rows and the rest.

    The statistic of a column is its largest |share - share| over flags in standard errors; its p-value
    (1 + #{largest of all columns under permutation ≥ it}) / (permutations + 1). The statistic uses all rows. The
    permutations use at most `rows` of the smaller group and 4 times as many of the other: the distribution hardly
    changes beyond, and its tails get lighter.
    """
    size = len(columns[0]) if columns else 0
    if not 0 < first < size:
        raise BadInputError("a group has no rows", got=f"{first} of {size} rows in the first group")
    if permutations < 1:
        raise BadInputError("too few permutations", got=permutations, allowed="at least 1")
    flags = np.hstack(columns)
    owners = np.repeat(np.arange(len(columns)), [column.shape[1] for column in columns])
    observed = np.zeros(len(columns))
    if not owners.size:
        return MaxStatistic(observed, np.ones(len(columns)))
    scores = _standardised(
        flags[:first].sum(axis=0, dtype=np.float64), flags.sum(axis=0, dtype=np.float64), first, size
    )
    np.maximum.at(observed, owners, np.abs(scores))
    largest = _permuted_largest(flags, first, permutations, np.random.default_rng(seed), rows)
    # Sums in another order differ in the last digits: equal counts as reached.
    reached = (largest[None, :] >= observed[:, None] * (1.0 - 1e-9)).sum(axis=1)
    return MaxStatistic(observed, (1.0 + reached) / (permutations + 1.0))


def _permuted_largest(flags: Flags, first: int, permutations: int, rng: np.random.Generator, rows: int) -> Floats:
    small = min(first, len(flags) - first)
    kept = min(small, rows)
    other = min(round((len(flags) - small) * kept / small), OTHER_ROWS * kept)
    if kept + other < len(flags):
        flags = flags[rng.choice(len(flags), kept + other, replace=False)]
    total = flags.sum(axis=0, dtype=np.float64)
    largest = np.empty(permutations)
    for start in range(0, permutations, AT_ONCE):
        batch = min(AT_ONCE, permutations - start)
        labels = np.zeros((batch, len(flags)), dtype=np.float32)
        for row in labels:
            row[rng.permutation(len(flags))[:kept]] = 1.0
        scores = _standardised((labels @ flags).astype(np.float64), total, kept, len(flags))
        largest[start : start + batch] = np.max(np.abs(scores), axis=1)
    return largest


def _standardised(marked: Floats, total: Floats, first: int, size: int) -> Floats:
    """Difference of the shares of flags in standard errors; 0 for a flag that all rows or none have."""
    share = total / size
    variance = share * (1.0 - share) * (1.0 / first + 1.0 / (size - first))
    difference = marked / first - (total - marked) / (size - first)
    return np.divide(difference, np.sqrt(variance), out=np.zeros_like(difference), where=variance > 1e-15)


def effective_columns(columns: list[Floats]) -> float:
    """How many independent columns the (N,) numeric `columns` are worth: (Σ λ)² / Σ λ² of their rank correlation."""
    ranks = np.column_stack([np.argsort(np.argsort(sample(column, "a column"))) for column in columns]).astype(float)
    if ranks.shape[1] == 1:
        return 1.0
    values = np.linalg.eigvalsh(np.corrcoef(ranks, rowvar=False))
    return float(values.sum() ** 2 / np.sum(values**2))
