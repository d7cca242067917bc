"""Event stores for tests: a simulated one, and single events by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from identity_masker.experiments.design import Experiment
from identity_masker.experiments.simulation import Simulated, Traffic, simulate

START = datetime(2026, 11, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TIMED = pl.Datetime("us", "UTC")
KINDS = ("exposures", "outcomes", "requests")


def simulated(experiment: Experiment, folder: Path, **changes: Any) -> Simulated:
    """Five days of 300 units each in `folder`."""
    return simulate(experiment, Traffic(**{"start": START, "days": 5, "units_per_day": 300} | changes), str(folder))


def hour_folder(store: Path, kind: str, moment: datetime) -> Path:
    return store / "events" / kind / f"date={moment:%Y-%m-%d}" / f"hour={moment:%H}"


def put(store: Path, kind: str, rows: Iterable[dict[str, Any]]) -> None:
    """Write events beside those that are there."""
    for k, row in enumerate(rows):
        folder = hour_folder(store, kind, row["time"])
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        pl.DataFrame([{"event_id": f"{kind}-{k}", **row}], schema_overrides={"time": TIMED}).write_parquet(buffer)
        (folder / f"more-{len(list(folder.iterdir()))}.parquet").write_bytes(buffer.getvalue())


def complete(store: Path, kind: str, begin: datetime, end: datetime) -> None:
    """Mark every hour of [begin, end) as whole."""
    hour = begin
    while hour < end:
        folder = hour_folder(store, kind, hour)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "_complete.json").write_text(json.dumps({"events": 0, "sha256": ""}))
        hour += HOUR


def exposure(unit: str, variant: str, time: datetime, **changes: Any) -> dict[str, Any]:
    row = {"experiment": "tint", "unit": unit, "variant": variant, "forced": False, "attributes": "{}", "time": time}
    return row | changes


def outcome(unit: str, name: str, time: datetime, value: float = 1.0, **changes: Any) -> dict[str, Any]:
    return {"unit": unit, "name": name, "value": value, "time": time} | changes
