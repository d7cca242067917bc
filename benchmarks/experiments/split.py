"""The sample-ratio test over 60 daily looks: false alarms of good experiments, and faults that are found."""

from __future__ import annotations

import numpy as np
from benchmarks.experiments.tables import show

from identity_masker.statistics import sample_ratio

DAYS, ALPHA = 60, 0.001


def run(experiments: int) -> None:
    lines: list[tuple[object, ...]] = []
    worlds = {
        "even, 2,000 units a day": ([0.5, 0.5], 2000, False),
        "90 / 10, 500 a day": ([0.9, 0.1], 500, False),
        "four arms, 5,000 a day": ([0.25] * 4, 5000, False),
        "weights change every day": ([0.5, 0.5], 2000, True),
    }
    for name, (weights, daily, changing) in worlds.items():
        lines.append((name, "none", *_rates(experiments, np.array(weights), daily, changing, 1.0, peer=not changing)))
    for lost in (0.99, 0.98, 0.95):
        few = max(200, experiments // 20)
        lines.append(
            (f"even, one arm loses {1 - lost:.0%}", "yes", *_rates(few, np.array([0.5, 0.5]), 2000, False, lost))
        )
        change = _rates(few, np.array([0.5, 0.5]), 2000, True, lost, peer=False)
        lines.append((f"changing weights, one arm loses {1 - lost:.0%}", "yes", *change))
    show(("experiment", "fault", "e-value ≥ 1000", "median day", "daily chi-square p < .001"), lines)


def _rates(
    experiments: int, weights: np.ndarray, daily: int, changing: bool, kept: float, *, peer: bool = True
) -> tuple[str, str, str]:
    rng = np.random.default_rng(11)
    fired, days, naive = 0, [], 0
    for _ in range(experiments):
        asked = rng.dirichlet(np.full(weights.size, 8.0), DAYS) if changing else np.tile(weights, (DAYS, 1))
        actual = asked * np.r_[np.ones(weights.size - 1), kept]
        actual /= actual.sum(axis=1, keepdims=True)
        counts = rng.multinomial(rng.poisson(daily, DAYS), actual)
        p = sample_ratio.sequential_path(counts, asked).p_values
        if p[-1] <= ALPHA:
            fired += 1
            days.append(int(np.argmax(p <= ALPHA)) + 1)
        if peer:
            total = np.cumsum(counts, axis=0)
            naive += any(sample_ratio.chi_square(row, weights) < ALPHA for row in total)
    median = f"{np.median(days):.0f}" if days else ""
    return f"{fired / experiments:.3%}", median, f"{naive / experiments:.2%}" if peer else ""
