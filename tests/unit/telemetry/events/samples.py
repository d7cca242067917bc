"""Events of each kind."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from identity_masker.telemetry import event_store
from identity_masker.telemetry.events.kinds import LATER, Kind, checked

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def outcome(time: datetime = NOON, event_id: str | None = None, **columns: Any) -> dict[str, Any]:
    given = {"unit": "u1", "name": "kept", "value": 1.0, **columns}
    return {"event_id": event_id or uuid.uuid4().hex, "time": time, **given}


def request(time: datetime = NOON, **columns: Any) -> dict[str, Any]:
    names = ("request_id", "unit", "variant", "version", "semver", "error", "masked_code")
    numbers = {"brightness": 0.5, "contrast": None, "sharpness": 0.1, "changed": 0.9}
    event = {**dict.fromkeys(names, ""), **numbers, "latency_ms": 3.5, "status": 200, "experiments": "{}", **columns}
    return {"event_id": uuid.uuid4().hex, "time": time, **event}


def early_request(time: datetime = NOON) -> dict[str, Any]:
    """As earlier versions wrote it: without the columns that came later. Its time is in microseconds."""
    return {name: value for name, value in checked("requests", request(time)).items() if name not in LATER}


def exposure(time: datetime = NOON, **columns: Any) -> dict[str, Any]:
    event = {"experiment": "softer", "unit": "u1", "variant": "on", "forced": False, "attributes": "{}", **columns}
    return {"event_id": uuid.uuid4().hex, "time": time, **event}


def example(time: datetime = NOON, **columns: Any) -> dict[str, Any]:
    return {"event_id": uuid.uuid4().hex, "time": time, "request_id": "r", "version": "1", "picture": "", **columns}


def stored(store: Path, kind: Kind) -> list[dict[str, Any]]:
    """All rows of a kind in the store."""
    paths = sorted((store / "events" / kind).glob("date=*/hour=*/*.parquet"))
    return [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]


def folder_of(store: Path, kind: Kind, hour: datetime) -> Path:
    return Path(event_store.hour_uri(str(store), kind, hour))
