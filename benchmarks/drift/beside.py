"""Power beside a peer: evidently by default, and this engine at one false alarm a year."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from benchmarks.drift.peer import peer
from benchmarks.drift.tables import show, summary

from identity_masker.drift.compare import collect
from identity_masker.drift.evidence import Window
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.verdict import judge

COLUMNS, REFERENCE = 20, 20_000
SIZES = (500, 2_000, 5_000, 20_000)


def run(repeats: int, shifts: Sequence[float], sizes: Sequence[int], evidently: Path) -> None:
    print(f"One of {COLUMNS} normal columns shifted, {REFERENCE:,} reference rows, {repeats} nights a cell;")
    print("share of nights in which that column is flagged, and in which any other is\n")
    show(("shift", "engine", *(f"{size:,} rows a night" for size in sizes)), _lines(repeats, shifts, sizes, evidently))


def _lines(repeats: int, shifts: Sequence[float], sizes: Sequence[int], evidently: Path) -> Iterator[Sequence[str]]:
    for shift in shifts:
        mine = [ours(shift, size, repeats) for size in sizes]
        theirs = peer(evidently, shift, sizes, COLUMNS, REFERENCE, repeats)
        for name, found in (("this engine", mine), ("evidently 0.7, default", theirs)):
            yield (f"{shift:g} sd", name, *(f"{own:.2f}, {other:.2f}" for own, other in found))


def ours(shift: float, size: int, repeats: int) -> tuple[float, float]:
    """Shares of nights in which the shifted column, and in which any other, drifts by the verdict."""
    policy, rng = DriftPolicy(kept_rows=50), np.random.default_rng(size)
    own = other = 0
    for _ in range(repeats):
        reference = summary(_normal(rng, REFERENCE, 0.0), policy, 1)
        current = summary(_normal(rng, size, shift), policy, 2)
        windows = [Window(source="", rows=side.rows) for side in (reference, current)]
        verdict = judge(collect(reference, current, policy, reference=windows[0], current=windows[1]), policy)
        flagged = {column.name for column in verdict.columns if column.drift}
        own += "c0" in flagged
        other += bool(flagged - {"c0"})
    return own / repeats, other / repeats


def _normal(rng: np.random.Generator, count: int, shift: float) -> pa.Table:
    """Standard normal columns; `shift` moves c0."""
    made = rng.normal(size=(COLUMNS, count))
    made[0] += shift
    return pa.table({f"c{index}": values for index, values in enumerate(made)})
