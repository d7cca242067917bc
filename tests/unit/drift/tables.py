"""Small tables that the drift tests compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from identity_masker.drift.compare import collect
from identity_masker.drift.evidence import Evidence, Window
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.summary import TableSummary
from identity_masker.drift.tables import summarise_batches

QUICK = DriftPolicy.model_validate({"embeddings": {"rows": 300, "permutations": 99, "named": 5}})


def quick(**changes: Any) -> DriftPolicy:
    """The policy of the tests, with `changes`."""
    return DriftPolicy.model_validate(QUICK.model_dump() | changes)


def normal(rng: np.random.Generator, rows: int, columns: int = 3, **shifts: float) -> dict[str, Any]:
    """Columns c0, c1, … of standard normals; `c1=0.5` shifts one."""
    made = {f"c{index}": rng.normal(size=rows) for index in range(columns)}
    return {name: values + shifts.get(name, 0.0) for name, values in made.items()}


def vectors(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), values.shape[1])


def table(columns: dict[str, Any]) -> pa.Table:
    return pa.table({name: vectors(v) if getattr(v, "ndim", 1) == 2 else v for name, v in columns.items()})


def summary(columns: dict[str, Any], policy: DriftPolicy = QUICK, seed: int = 0) -> TableSummary:
    return summarise_batches(table(columns), policy, seed=seed)


def evidence(before: dict[str, Any], now: dict[str, Any], policy: DriftPolicy = QUICK) -> Evidence:
    first, second = summary(before, policy), summary(now, policy, seed=1)
    windows = [Window(source=name, rows=side.rows) for name, side in (("before", first), ("now", second))]
    return collect(first, second, policy, reference=windows[0], current=windows[1])


def write(path: Path, columns: dict[str, Any]) -> str:
    made = table(columns)
    if path.suffix == ".csv":
        pa_csv.write_csv(made, path)
    else:
        pq.write_table(made, path)
    return str(path)
