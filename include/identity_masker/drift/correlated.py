"""All columns together: adjusted p-values that know how the columns move together."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from identity_masker.drift.column_summary import LARGEST
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.summary import TableSummary, numbers
from identity_masker.statistics.max_statistic import (
    Flags,
    category_flags,
    effective_columns,
    max_statistic,
    numeric_flags,
)
from identity_masker.statistics.samples import Floats

SEED = 29
MOST_COLUMNS, CORRELATED_ROWS = 500, 2_000


def adjusted_p_values(
    names: list[str], before: TableSummary, now: TableSummary, policy: DriftPolicy, alpha: float
) -> dict[str, float]:
    """p-values of the columns `names`, each adjusted for all, by the max-statistic on the rows that were kept."""
    first, second = before.sample.rows, now.sample.rows
    if first is None or second is None or not names:
        return {}
    flags = [_flags(first.column(name), second.column(name), before.kinds[name]) for name in names]
    permutations = max(policy.false_alarms.permutations, math.ceil(4.0 / alpha))
    found = max_statistic(flags, first.num_rows, permutations, SEED)
    return dict(zip(names, (float(p) for p in found.p_values), strict=True))


def independent_columns(names: list[str], side: TableSummary) -> float | None:
    """How many independent columns the numeric columns `names` are worth; None for fewer than two of them."""
    rows = side.sample.first(CORRELATED_ROWS)
    numeric = [name for name in names if side.kinds[name] == "numeric"][:MOST_COLUMNS]
    if rows is None or rows.num_rows < 2 or len(numeric) < 2:
        return None
    columns = [_filled(_floats(rows.column(name))) for name in numeric]
    columns = [column for column in columns if np.ptp(column) > 0.0]
    return effective_columns(columns) if columns else None


def _flags(before: pa.ChunkedArray, now: pa.ChunkedArray, kind: str) -> Flags:
    if kind == "numeric":
        return numeric_flags(np.concatenate([_floats(before), _floats(now)]))
    text = pa.chunked_array([*_texts(before), *_texts(now)], type=pa.string())
    codes = text.combine_chunks().dictionary_encode().indices
    return category_flags(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False))


def _texts(column: pa.ChunkedArray) -> list[pa.Array]:
    return list(pc.cast(column, pa.string()).chunks)


def _floats(column: pa.ChunkedArray) -> Floats:
    values = numbers(pc.fill_null(pc.cast(column, pa.float64(), safe=False), math.nan))
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def _filled(values: Floats) -> Floats:
    finite = np.isfinite(values)
    return np.where(finite, values, np.median(values[finite]) if finite.any() else 0.0)
