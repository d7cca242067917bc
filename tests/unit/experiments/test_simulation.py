from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.experiments.stored_events import DAY, HOUR, KINDS, START, simulated

from identity_masker.errors import BadInputError
from identity_masker.experiments.assignment import assign
from identity_masker.telemetry.event_store import files, missing_hours

Make = Callable[..., Any]
METRICS = [
    {"name": "masks", "kind": "count", "role": "goal", "covariate": "1d", "baseline": {"mean": 4.0, "sd": 4.0}},
    {"name": "kept", "kind": "proportion", "delay": "6h", "baseline": {"mean": 0.4}},
    {"name": "spent", "kind": "mean"},
    {"name": "rate", "kind": "ratio", "outcome": "hits", "denominator": "tries"},
    {"name": "slow", "kind": "quantile", "quantile": 0.9, "outcome": "latency_ms", "better": "lower"},
]


def read(store: Path, kind: str) -> pl.DataFrame:
    return pl.concat(
        [
            pl.read_parquet(file.removeprefix("file://"))
            for file in files(str(store), kind, START - DAY, START + 9 * DAY)
        ]
    )


def test_units_are_placed_as_the_gateway_would(design: Make, tmp_path: Path) -> None:
    experiment = design(metrics=METRICS, targeting={"device": "phone"})
    found = simulated(experiment, tmp_path)
    rows = read(tmp_path, "exposures")
    assert found.units == rows.height == rows["unit"].n_unique()
    assert 0.3 < found.units / 1500 < 0.7
    assert set(rows["attributes"].str.json_path_match("$.device")) == {"phone"}
    for row in rows.head(50).iter_rows(named=True):
        assert assign(experiment.rule, {"user": row["unit"], "device": "phone"}).name == row["variant"]


def test_every_hour_is_whole_and_every_event_has_an_id(design: Make, tmp_path: Path) -> None:
    found = simulated(design(metrics=METRICS), tmp_path)
    for kind in KINDS:
        assert missing_hours(str(tmp_path), kind, START - DAY, START + 6 * DAY) == []
        rows = read(tmp_path, kind)
        assert rows["event_id"].n_unique() == rows.height == found.events[kind]
    assert set(read(tmp_path, "outcomes")["name"]) == {"kept", "spent", "hits", "tries"}


def test_events_lie_in_their_windows_around_the_exposure(design: Make, tmp_path: Path) -> None:
    simulated(design(metrics=METRICS), tmp_path)
    entered = read(tmp_path, "exposures").select("unit", pl.col("time").alias("entered"))
    after = {kind: read(tmp_path, kind).join(entered, on="unit") for kind in ("outcomes", "requests")}
    gaps = {kind: rows.with_columns(gap=pl.col("time") - pl.col("entered")) for kind, rows in after.items()}
    kept = gaps["outcomes"].filter(pl.col("name") == "kept")["gap"]
    assert kept.min() >= 6 * HOUR
    assert kept.max() < DAY
    assert -DAY <= gaps["requests"]["gap"].min() < -20 * HOUR
    assert 20 * HOUR < gaps["requests"]["gap"].max() < DAY


def test_the_same_seed_gives_the_same_events(design: Make, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulated(design(metrics=METRICS), tmp_path / name, seed=seed)
    a, b, c = (read(tmp_path / name, "outcomes") for name in "abc")
    assert a.equals(b)
    assert not a.equals(c)


def test_an_effect_changes_the_treatment_after_exposure_alone(design: Make, tmp_path: Path) -> None:
    simulated(design(metrics=METRICS), tmp_path, effects={"masks": 1.0}, units_per_day=600)
    exposures = read(tmp_path, "exposures")
    rows = read(tmp_path, "requests").join(
        exposures.select("unit", "variant", pl.col("time").alias("entered")), on="unit"
    )
    arms = dict(exposures.group_by("variant").len().rows())
    counts = rows.group_by("variant_right", pl.col("time") >= pl.col("entered")).len().rows()
    each = {(variant, after): count / arms[variant] for variant, after, count in counts}
    assert each["warm", True] / each["control", True] == pytest.approx(2.0, rel=0.1)
    assert each["warm", False] / each["control", False] == pytest.approx(1.0, rel=0.1)


def test_effects_on_what_is_not_measured_are_refused(design: Make, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"not measured.*mask;.*masks"):
        simulated(design(), tmp_path, effects={"mask": 0.1})


def test_a_store_with_events_is_never_written_to(design: Make, tmp_path: Path) -> None:
    simulated(design(), tmp_path)
    with pytest.raises(BadInputError, match="holds events already"):
        simulated(design(), tmp_path)


def test_an_experiment_that_nobody_enters_is_refused(design: Make, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no simulated unit"):
        simulated(design(targeting={"device": "fridge"}), tmp_path)
