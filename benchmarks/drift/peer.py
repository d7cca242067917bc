"""evidently in an environment of its own: how often its default rule flags a column that drifted, and another one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

SEED = 11
CODE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
shift, size, columns, reference, seed, repeats = float(sys.argv[1]), *map(int, sys.argv[2:])
rng, names = np.random.default_rng(seed), [f"c{i}" for i in range(columns)]
found = [0, 0]
for _ in range(repeats):
    tables = [pd.DataFrame(rng.normal(size=(rows, columns)), columns=names) for rows in (reference, size)]
    tables[1]["c0"] += shift
    sets = [Dataset.from_pandas(t, data_definition=DataDefinition(numerical_columns=names)) for t in tables]
    metrics = Report([ValueDrift(column=c) for c in names]).run(sets[1], sets[0]).dict()["metrics"]
    flags = []
    for metric in metrics:
        config = metric["config"]
        value, limit = float(metric["value"]), float(config["threshold"])
        flags.append(value < limit if "p_value" in config["method"] else value >= limit)
    found = [found[0] + flags[0], found[1] + any(flags[1:])]
print(json.dumps([count / repeats for count in found]))
"""


def peer(
    python: Path, shift: float, sizes: Sequence[int], columns: int, reference: int, repeats: int
) -> list[tuple[float, float]]:
    """For each size: shares of comparisons in which the shifted column, and in which any other, is flagged."""
    found = []
    for size in sizes:
        numbers = map(str, (shift, size, columns, reference, SEED, repeats))
        command = [str(python), "-c", CODE, *numbers]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"DO_NOT_TRACK": "1"})
        own, other = json.loads(done.stdout.strip().splitlines()[-1])
        found.append((own, other))
    return found
