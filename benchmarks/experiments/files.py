"""Analysis of 10 million exposures × 5 metrics with CUPED, from Parquet to JSON, in a process of its own.

Beside it: the same five regressions by pandas and statsmodels in an environment that has them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from benchmarks.experiments.tables import show

METRICS, DAYS, GROUP = 5, 14, 500_000

MEASURED = """
import json, resource, sys, time
wall, used = time.perf_counter(), time.process_time()
{body}
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([time.perf_counter() - wall, time.process_time() - used, usage.ru_maxrss / 1024, found]))
"""
OURS = """
from pathlib import Path
from identity_masker.experiments.catalog import load_file
from identity_masker.experiments.evaluation import evaluate_files
report = evaluate_files(load_file(Path(sys.argv[1])), sys.argv[2], sys.argv[3])[1]
found = [[m.estimate, m.standard_error] for m in report.metrics]
"""
STATSMODELS = """
import pandas as pd, statsmodels.api as sm
exposures, outcomes = pd.read_parquet(sys.argv[2]), pd.read_parquet(sys.argv[3])
first = exposures.sort_values("timestamp").drop_duplicates("user")
joined = first.merge(outcomes, on="user", how="left").fillna(0.0)
treated = (joined["variant"].astype(str) == "new").astype(float)
found = []
for k in range(5):
    before = joined[f"m{k}_before"] - joined[f"m{k}_before"].mean()
    design = sm.add_constant(pd.DataFrame({"t": treated, "x": before}))
    fit = sm.OLS(joined[f"m{k}"], design).fit(cov_type="HC1")
    found.append([fit.params["t"], fit.bse["t"]])
"""


def run(rows: int, folder: Path, statsmodels: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    places = [str(folder / name) for name in ("design.yaml", "exposures.parquet", "outcomes.parquet")]
    if not (folder / "done").exists():
        _write(rows, *map(Path, places))
        (folder / "done").touch()
    lines, found = [], {}
    runs = {"masker experiments analyze": (sys.executable, OURS)}
    if statsmodels is not None:
        runs["pandas + statsmodels OLS, HC1"] = (str(statsmodels), STATSMODELS)
    for name, (python, body) in runs.items():
        done = subprocess.run(
            [python, "-c", MEASURED.replace("{body}", body), *places], capture_output=True, text=True, check=False
        )
        if done.returncode:
            lines.append((name, f"failed: exit {done.returncode}", "", ""))
            continue
        wall, cpu, memory, found[name] = json.loads(done.stdout.strip().splitlines()[-1])
        lines.append((name, f"{wall:.1f}", f"{cpu:.1f}", f"{memory:,.0f}"))
    show((f"{rows:,} exposures × {METRICS} metrics with CUPED", "wall s", "CPU s", "peak memory MB"), lines)
    if len(found) == 2:
        one, other = (np.array(values) for values in found.values())
        print(f"\nLargest difference: estimates {np.abs(one - other)[:, 0].max():.1e}, ", end="")
        print(f"standard errors {np.abs(one / other - 1)[:, 1].max():.1e} relative.")


def _write(rows: int, design: Path, exposures: Path, outcomes: Path) -> None:
    rng = np.random.default_rng(0)
    users = pc.binary_join_element_wise("user-", pa.array(rng.permutation(rows)).cast(pa.string()), "")
    arm = rng.integers(0, 2, rows, dtype=np.int8)
    start = np.datetime64("2026-11-02T00:00:00", "us")
    entered = start + (rng.random(rows) * DAYS * 86_400e6).astype("timedelta64[us]")
    names = pa.DictionaryArray.from_arrays(pa.array(arm), ["control", "new"])
    pq.write_table(pa.table({"user": users, "variant": names, "timestamp": entered}), exposures, row_group_size=GROUP)
    columns: dict[str, pa.Array] = {"user": users}
    habit = rng.gamma(2.0, 1.0, rows)
    for k in range(METRICS):
        before = habit * (k + 1) + rng.normal(size=rows)
        after = 0.8 * before + rng.normal(size=rows) + 0.01 * arm
        columns |= {f"m{k}": pa.array(after.astype(np.float32)), f"m{k}_before": pa.array(before.astype(np.float32))}
    shuffled = pa.table(columns).take(pa.array(rng.permutation(rows)))
    pq.write_table(shuffled, outcomes, row_group_size=GROUP)
    metrics = [{"name": f"m{k}", "kind": "mean", "role": "goal", "covariate": "7d"} for k in range(METRICS)]
    variants = {"control": {"model": "a", "weight": 0.5}, "new": {"model": "b", "weight": 0.5}}
    document = {
        "name": "bench", "hypothesis": "Ten million exposures are read in seconds.", "status": "running",
        "variants": variants, "schedule": {"days": DAYS, "minimum_days": 0}, "metrics": metrics,
        "analysis": {"method": "fixed", "scale": "absolute"},
    }  # fmt: skip
    design.write_text(yaml.safe_dump(document))
