"""20 numeric columns, 100,000 current rows against as many of the reference: KS, PSI and Wasserstein distance.

Ours: the reference is stored (sorted), the window comes raw, and out comes the whole evidence on a column (p-values,
effect with its interval, histogram). scipy: `ks_2samp`, `wasserstein_distance` and a PSI in numpy, column by column.
All rounds alternate in one run; the best of each counts. evidently runs in an environment of its own, in this run too.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.drift.tables import show
from scipy import stats

from identity_masker.drift.column_summary import NumericSummary
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.univariate import compare_numeric

COLUMNS, SEED = 20, 3

EVIDENTLY = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
columns, rows, seed, repeats = map(int, sys.argv[1:])
rng = np.random.default_rng(seed)
tables = [pd.DataFrame({f"c{i}": rng.normal(size=rows) for i in range(columns)}) for _ in range(2)]
names = [f"c{i}" for i in range(columns)]
best = [1e9, 1e9]
for _ in range(repeats):
    sets = [Dataset.from_pandas(t, data_definition=DataDefinition(numerical_columns=names)) for t in tables]
    report = Report([ValueDrift(column=c, method=m) for c in names for m in ("ks", "psi", "wasserstein")])
    wall, cpu = time.perf_counter(), time.process_time()
    report.run(sets[1], sets[0]).dict()
    best = [min(best[0], time.perf_counter() - wall), min(best[1], time.process_time() - cpu)]
print(json.dumps(best))
"""


def run(rows: int, repeats: int, evidently: Path | None) -> None:
    rng = np.random.default_rng(SEED)
    tables = [[rng.normal(size=rows) for _ in range(COLUMNS)] for _ in range(2)]
    stored = [_summarised(values) for values in tables[0]]
    for column in stored:
        assert column.ordered.values.size == rows
    ways: dict[str, Callable[[], object]] = {
        "stored reference, all evidence": lambda: _ours(stored, tables[1]),
        "scipy column by column": lambda: [_scipy(a, b) for a, b in zip(*tables, strict=True)],
    }
    best = {name: [np.inf, np.inf] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            taken = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = [min(old, new) for old, new in zip(best[name], taken, strict=True)]
    if evidently is not None:
        best["evidently 0.7, ValueDrift × 3 × 20"] = _evidently(evidently, rows)
    own = best["stored reference, all evidence"]
    show(
        ("way", "wall s", "CPU s", "wall × ours", "CPU × ours"),
        [(n, f"{w:.3f}", f"{c:.3f}", f"{w / own[0]:.1f}", f"{c / own[1]:.1f}") for n, (w, c) in best.items()],
    )


def _summarised(values: np.ndarray) -> NumericSummary:
    summary = NumericSummary()
    summary.update(values, 0)
    return summary


def _ours(stored: list[NumericSummary], current: list[np.ndarray]) -> object:
    policy = DriftPolicy()
    return [compare_numeric("c", a, _summarised(b), policy) for a, b in zip(stored, current, strict=True)]


def _scipy(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    edges = np.quantile(a, np.linspace(0.0, 1.0, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    p, q = np.histogram(a, edges)[0] / a.size, np.histogram(b, edges)[0] / b.size
    psi = float(np.sum((q - p) * np.log(q / p)))
    return stats.ks_2samp(a, b).pvalue, stats.wasserstein_distance(a, b), psi


def _evidently(python: Path, rows: int) -> list[float]:
    arguments = [str(python), "-c", EVIDENTLY, *map(str, (COLUMNS, rows, SEED, 2))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env={"DO_NOT_TRACK": "1"})
    return json.loads(done.stdout.strip().splitlines()[-1])
