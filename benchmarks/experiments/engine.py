"""The whole engine, from Parquet files to the decision: false winners without effect, found winners and coverage with.

Each experiment has 14 days, 2,000 to 6,000 units, skewed outcomes with a covariate, daily looks; the decision is the
one after the last day, whose p-value counts every look on the way.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.experiments.tables import show

from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evaluation import evaluate_files

DAYS = 14
START = np.datetime64("2026-11-02T00:00:00", "us")


def run(runs: int) -> None:
    lines: list[tuple[object, ...]] = []
    for lift in (0.0, 0.08):
        shipped = harmed = covered = healthy = 0
        for seed in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                report = evaluate_files(_design(), *_files(Path(folder), seed, lift))[1]
            result = report.metrics[0]
            low, high = result.interval or (None, None)
            healthy += report.health.ok
            shipped += report.decision == "ship"
            harmed += report.decision == "stop_harm"
            covered += low is not None and high is not None and low <= lift <= high
        lines.append(
            (
                f"{lift:.0%}",
                runs,
                f"{shipped / runs:.1%}",
                f"{harmed / runs:.1%}",
                f"{covered / runs:.1%}",
                f"{healthy / runs:.1%}",
            )
        )
    show(("true effect", "experiments", "shipped", "stopped for harm", "interval covers", "healthy"), lines)


def _design() -> Experiment:
    return Experiment.model_validate(
        {
            "name": "bench",
            "hypothesis": "The engine finds what is there and nothing else.",
            "status": "running",
            "variants": {"control": {"model": "a", "weight": 0.5}, "new": {"model": "b", "weight": 0.5}},
            "schedule": {"days": DAYS, "minimum_days": 0},
            "metrics": [
                {"name": "masks", "kind": "mean", "role": "goal", "covariate": "1d", "winsorise": {"quantile": 0.999}},
                {"name": "kept", "kind": "proportion", "role": "secondary", "outcome": "masks"},
            ],
            "analysis": {"window": "1d", "scale": "relative"},
        }
    )


def _files(folder: Path, seed: int, lift: float) -> tuple[str, str]:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2000, 6000))
    arm = rng.integers(0, 2, count)
    entered = START + (rng.random(count) * DAYS * 86_400e6).astype("timedelta64[us]")
    habit = rng.gamma(1.0, 3.0, count)
    frames = []
    for hours, mean in ((-24.0, habit), (0.0, habit * (1.0 + lift * arm))):
        who = np.repeat(np.arange(count), rng.poisson(mean))
        after = ((hours + rng.random(who.size) * 24.0) * 3.6e9).astype("timedelta64[us]")
        frames.append(pl.DataFrame({"user": who, "outcome": "masks", "value": 1.0, "timestamp": entered[who] + after}))
    names = np.array(["control", "new"])[arm]
    pl.DataFrame({"user": np.arange(count), "variant": names, "timestamp": entered}).write_parquet(folder / "e.parquet")
    pl.concat(frames).write_parquet(folder / "o.parquet")
    return str(folder / "e.parquet"), str(folder / "o.parquet")
