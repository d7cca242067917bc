"""Time to compute boundaries by the recursion, and how far the spent error is from what was to be spent."""

from __future__ import annotations

import time

import numpy as np
from benchmarks.experiments.tables import show

from identity_masker.statistics.crossing import crossing_probabilities
from identity_masker.statistics.sequential import spending_boundaries

# Spotify confidence's solver for the same boundaries (shared study, on two cores): seconds.
SPOTIFY = {5: 0.064, 30: 1.35, 200: 11.2}


def run() -> None:
    lines: list[tuple[object, ...]] = []
    for looks in (5, 14, 30, 60, 200, 365):
        times = np.arange(1, looks + 1) / looks
        for spending in (2.0, "obrien_fleming"):
            bounds = spending_boundaries(times, 0.05, spending)
            wall, cpu = [], []
            for _ in range(7):
                started, used = time.perf_counter(), time.process_time()
                spending_boundaries(times, 0.05, spending)
                wall.append(time.perf_counter() - started)
                cpu.append(time.process_time() - used)
            exits = crossing_probabilities(times, bounds, -bounds)
            gap = abs(float(exits.above.sum() + exits.below.sum()) - 0.05)
            name = "alpha·t²" if spending == 2.0 else "O'Brien-Fleming type"
            peer = f"{SPOTIFY[looks] * 1e3:,.0f}" if looks in SPOTIFY and spending == 2.0 else ""
            lines.append((looks, name, f"{min(wall) * 1e3:.1f}", f"{min(cpu) * 1e3:.1f}", peer, f"{gap:.0e}"))
    show(("looks", "spending", "wall ms", "CPU ms", "Spotify confidence ms", "error of the spent alpha"), lines)
