"""Assignments a second for arrays and for one unit, and whether layers are independent of each other."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
from benchmarks.experiments.tables import show
from scipy import stats

from identity_masker.experiments import hashing
from identity_masker.experiments.assignment import Rule, assign, assign_all, bucket_ranges
from identity_masker.experiments.targeting import compiled

UNITS, LAYERS = 1_000_000, 12


def run() -> None:
    rng = np.random.default_rng(0)
    names = {
        "user-<n>": [f"user-{k}" for k in range(UNITS)],
        "UUID": [f"{a:08x}-{b:04x}-4{c:03x}-8{c:03x}-{b:012x}" for a, b, c in _numbers(rng)],
    }
    plain = Rule("e", ("a", "b"), tuple(bucket_ranges(2)))
    phones = compiled({"device": {"in": ["phone", "tablet"]}, "age": {"gte": 18}})
    full = Rule(
        "e", ("a", "b"), tuple(bucket_ranges(2)), layer="look", slot=(0.0, 0.5), holdout=("w", 0.05), condition=phones
    )
    lines: list[tuple[object, ...]] = []
    for kind, units in names.items():
        for what, rule in (("variant", plain), ("variant, layer, holdout", full)):
            wall, cpu = _best(lambda rule=rule, units=units: assign_all(rule, units))
            lines.append((f"1,000,000 × {kind}", what, f"{UNITS / wall / 1e6:.1f} M/s", f"{UNITS / cpu / 1e6:.1f} M/s"))
        unit = {"user": units[7], "device": "phone", "age": 30}
        for what, rule in (("variant", plain), ("variant, layer, holdout, targeting", full)):
            wall, cpu = _best(lambda rule=rule, unit=unit: [assign(rule, unit) for _ in range(5000)])
            lines.append((f"one {kind}", what, f"{wall / 5000 * 1e6:.1f} µs", f"{cpu / 5000 * 1e6:.1f} µs"))
    show(("units", "what", "wall", "CPU"), lines)
    print()
    _independence(names["user-<n>"])


def _independence(units: list[str]) -> None:
    halves = {f"layer {k}": hashing.positions(f"layer:{k}", units) < 0.5 for k in range(LAYERS)}
    legacy = {f"namespace {k}": hashing.buckets(f"__ns{k}", units, 1) for k in range(6)}
    old = {name: points < 0.5 for name, points in legacy.items() if points is not None}
    variants = {
        f"seed {k}": points < 0.5 for k in range(6) if (points := hashing.buckets(f"seed-{k}", units)) is not None
    }
    lines = []
    for name, found in (
        ("layers (64 bits)", halves),
        ("layers and variants", halves | variants),
        ("GrowthBook namespaces (its version 1 hash)", old),
    ):
        p, worst = _pairs(found)
        lines.append((name, len(p), f"{min(p):.2g}", sum(q < 0.001 for q in p), f"{worst:.4f}"))
    show(("halves of 1,000,000 units", "pairs", "smallest p", "pairs with p < .001", "joint half off .25 by"), lines)


def _pairs(found: dict[str, np.ndarray]) -> tuple[list[float], float]:
    p, worst = [], 0.0
    for a, b in combinations(found.values(), 2):
        table = np.histogram2d(a, b, bins=2)[0]
        p.append(float(stats.chi2_contingency(table, correction=False).pvalue))
        worst = max(worst, float(np.max(np.abs(table / table.sum() - 0.25))))
    return p, worst


def _numbers(rng: np.random.Generator) -> list[list[int]]:
    return np.column_stack([rng.integers(0, high, UNITS) for high in (1 << 32, 1 << 16, 1 << 12)]).tolist()


def _best(work: object) -> tuple[float, float]:
    assert callable(work)
    work()
    wall, cpu = [], []
    for _ in range(5):
        started, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return min(wall), min(cpu)
