"""Tables of random rows for the benchmarks, and a table to print."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.summary import TableSummary
from identity_masker.drift.tables import summarise_batches


def rows(rng: np.random.Generator, count: int, columns: int, correlation: float, shift: float = 0.0) -> pa.Table:
    """Normal, uniform, log-normal, rounded and zero-heavy columns in turn, correlated as asked; `shift` moves c0."""
    common = rng.normal(size=count)
    made = {}
    for index in range(columns):
        values = rng.normal(size=count)
        if correlation:
            values = math.sqrt(correlation) * common + math.sqrt(1.0 - correlation) * values
        made[f"c{index}"] = _shaped(values + (shift if index == 0 else 0.0), index % 5)
    return pa.table(made)


def _shaped(values: np.ndarray, shape: int) -> np.ndarray:
    if shape == 1:
        return np.arctan(values)
    if shape == 2:
        return np.exp(values)
    if shape == 3:
        return np.round(2.0 * values)
    return np.maximum(values, 0.0) if shape == 4 else values


def summary(table: pa.Table, policy: DriftPolicy, seed: int) -> TableSummary:
    return summarise_batches(table, policy, seed=seed)


def show(header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for line in lines:
        print("| " + " | ".join(str(cell) for cell in line) + " |", flush=True)
