"""Daily looks at one experiment: error, power and sample of the methods that the peers use, and of ours.

Brownian paths with the effect at which a fixed test has power .80. The peers' rules are restated from their public
pages and code: GrowthBook's asymptotic confidence sequence (N* = 5000 is its default), Statsig's constant bound.
The exact rows come from the recursion and have no simulation noise.
"""

from __future__ import annotations

import math

import numpy as np
from benchmarks.experiments.tables import show
from scipy import stats

from identity_masker.statistics.plans import SequentialPlan
from identity_masker.statistics.sequential import asymptotic_half_width, spending_boundaries

DRIFT = float(stats.norm.isf(0.025) + stats.norm.ppf(0.8))
FINAL_UNITS = 50_000


def run(paths: int) -> None:
    lines: list[tuple[object, ...]] = []
    for looks in (30, 14, 5):
        times = np.arange(1, looks + 1) / looks
        null, effect = (_paths(drift, times, paths, seed) for drift, seed in ((0.0, 1), (DRIFT, 2)))
        for name, bounds in _methods(times).items():
            error, _ = _stopped(null, bounds, times)
            power, sample = _stopped(effect, bounds, times)
            lines.append((looks, name, f"{error:.4f}", f"{power:.3f}", f"{sample:.1%}"))
        plan = SequentialPlan.designed(times, 0.05, 2)
        exact = f"{plan.power(0.0):.4f}", f"{plan.power(DRIFT):.4f}", f"{plan.average_information(DRIFT):.2%}"
        lines.append((looks, "alpha·t² (ours), exact", *exact))
    show(("looks", "method", "type-I error", "power", "mean sample used"), lines)


def _methods(times: np.ndarray) -> dict[str, np.ndarray]:
    fixed = np.where(times == 1.0, stats.norm.isf(0.025), np.inf)
    return {
        "1.96 at every look": np.full(times.size, stats.norm.isf(0.025)),
        "fixed, last look": fixed,
        "**alpha·t² (ours)**": spending_boundaries(times, 0.05, 2),
        "O'Brien-Fleming type (ours)": spending_boundaries(times, 0.05, "obrien_fleming"),
        "Pocock type (ours)": spending_boundaries(times, 0.05, "pocock"),
        "GrowthBook, N* = final": _sequence(times, FINAL_UNITS),
        "GrowthBook, N* = 5000, 50,000 units": _sequence(times, 5000),
        "Statsig": np.full(times.size, 3.5845),
    }


def _sequence(times: np.ndarray, tuned: float) -> np.ndarray:
    units = times * FINAL_UNITS
    return np.array([asymptotic_half_width(math.sqrt(n), n, 0.05, tuned) for n in units])


def _paths(drift: float, times: np.ndarray, paths: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    steps = np.diff(times, prepend=0.0)
    scores = np.cumsum(rng.normal(drift * steps, np.sqrt(steps), (paths, times.size)), axis=1)
    return scores / np.sqrt(times)


def _stopped(z: np.ndarray, bounds: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    crossed = np.abs(z) >= bounds
    ever = crossed.any(axis=1)
    last = np.where(ever, crossed.argmax(axis=1), times.size - 1)
    return float(ever.mean()), float(times[last].mean())
