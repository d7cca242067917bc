"""How often is drift found? A shift of a tenth of a deviation, at the level of one false alarm in a year of nights."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from benchmarks.drift.tables import rows, show, summary

from identity_masker.drift.compare import collect
from identity_masker.drift.evidence import Window
from identity_masker.drift.nights import remember, slow_history
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.verdict import judge
from identity_masker.statistics.classifier_test import classifier_test
from identity_masker.statistics.two_sample import mmd

COLUMNS, REFERENCE = 20, 20_000
SHIFTS, SIZES = (0.05, 0.09, 0.1, 0.2), (500, 2_000, 5_000, 20_000)
VECTORS, DIMENSIONS = 200, 32


def run(repeats: int, runs: int) -> None:
    print(f"One of {COLUMNS} columns shifted, {REFERENCE:,} reference rows; share of nights with the verdict drift\n")
    lines = []
    for shift in SHIFTS:
        found = [_columns(shift, size, repeats) for size in SIZES]
        lines.append((f"{shift:g} sd", *(f"{share:.2f}" for share in found)))
    show(("shift", *(f"{size:,} rows a night" for size in SIZES)), lines)
    print(f"\nNights until the slow test names the column, median of {runs} runs, 100 rows a night\n")
    show(("shift", "nights"), [(f"{shift:g} sd", _slow(shift, runs)) for shift in (0.1, 0.2)])
    print(f"\nVectors: {VECTORS} against {VECTORS} of {DIMENSIONS} numbers, all shifted; share found at level .05\n")
    lines = [(f"{shift:g} sd", *_vectors(shift, repeats)) for shift in (0.0, 0.05, 0.1)]
    show(("shift", "MMD", "classifier", "both (twice the smaller p)"), lines)


def _columns(shift: float, size: int, repeats: int) -> float:
    policy, rng = DriftPolicy(kept_rows=50), np.random.default_rng(size)
    found = 0
    for _ in range(repeats):
        # Drawn anew: what one reference has by chance would be in every night of the table.
        reference = summary(rows(rng, REFERENCE, COLUMNS, 0.0), policy, 1)
        current = summary(rows(rng, size, COLUMNS, 0.0, shift), policy, 2)
        windows = [Window(source="", rows=side.rows) for side in (reference, current)]
        verdict = judge(collect(reference, current, policy, reference=windows[0], current=windows[1]), policy)
        found += any(column.drift for column in verdict.columns if column.name == "c0")
    return found / repeats


def _slow(shift: float, runs: int, nights: int = 90) -> str:
    policy, firsts = DriftPolicy(kept_rows=50), []
    for run_ in range(runs):
        rng, made = np.random.default_rng(run_), []
        reference = summary(rows(rng, REFERENCE, 5, 0.0), policy, 1)
        for night in range(nights):
            current = summary(rows(rng, 100, 5, 0.0, shift), policy, 2)
            windows = [Window(source="", rows=side.rows) for side in (reference, current)]
            evidence = collect(reference, current, policy, reference=windows[0], current=windows[1])
            day = date(2026, 1, 1) + timedelta(days=night)
            made.append(remember(day, "r", evidence, judge(evidence, policy)))
        states = slow_history(made, policy)
        firsts.append(next((index for index, state in enumerate(states, 1) if state.drifted), nights + 1))
    middle = float(np.median(firsts))
    return f"more than {nights}" if middle > nights else f"{middle:g}"


def _vectors(shift: float, repeats: int) -> tuple[str, ...]:
    rng, found = np.random.default_rng(int(1000 * shift)), []
    for seed in range(repeats):
        a, b = rng.normal(size=(VECTORS, DIMENSIONS)), rng.normal(shift, 1.0, size=(VECTORS, DIMENSIONS))
        first, second = mmd(a, b, 199, seed).p_value, classifier_test(a, b, 199, seed).p_value
        found.append((first, second, 2 * min(first, second)))
    return tuple(f"{share:.2f}" for share in np.mean(np.array(found) <= 0.05, axis=0))
