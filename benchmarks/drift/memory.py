"""A table of event rows summarised out of core by `masker drift summarise`: time and peak memory of the process."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.drift.tables import show

FILE_ROWS = 5_000_000
VARIANTS = np.array(["stable", "canary", "experiment-a", "experiment-b"])


def run(rows: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, start in enumerate(range(0, rows, FILE_ROWS)):
        path = folder / f"{index:04}.parquet"
        if not path.exists():
            pq.write_table(_events(index, min(FILE_ROWS, rows - start)), path)
    size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    command = [sys.executable, "-m", "identity_masker.cli", "drift", "summarise", "--table", f"{folder}/*.parquet"]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--output", f"{folder}/reference", "--json"], capture_output=True, text=True, check=True
    )
    seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(done.stdout)
    assert result["rows"] == rows
    show(
        ("rows", "columns", "Parquet MB", "wall s", "CPU s", "peak MB", "reference MB"),
        [
            (
                *(f"{rows:,}", len(result["columns"]), f"{size / 1e6:.0f}", f"{seconds:.0f}"),
                f"{used.ru_utime + used.ru_stime:.0f}",
                *(f"{used.ru_maxrss / 1e3:.0f}", f"{result['bytes'] / 1e6:.1f}"),
            )
        ],
    )


def _events(seed: int, rows: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "brightness": rng.normal(0.5, 0.1, rows).astype(np.float32),
            "sharpness": rng.gamma(2.0, 0.05, rows).astype(np.float32),
            "latency_ms": rng.lognormal(2.5, 0.6, rows).astype(np.float32),
            "identity_leak": rng.beta(2.0, 8.0, rows).astype(np.float32),
            "status": rng.choice(np.array([200, 200, 200, 429, 500], dtype=np.int16), rows),
            "variant": pa.DictionaryArray.from_arrays(rng.integers(0, 4, rows).astype(np.int8), VARIANTS),
        }
    )
