"""A store with nights of simulated traffic, and the reference that they are compared with."""

from __future__ import annotations

import base64
import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from identity_masker import artifacts
from identity_masker.drift import archive, reference
from identity_masker.drift.dataset_rows import MaskedRows
from identity_masker.drift.event_tables import with_vectors
from identity_masker.drift.model_reference import summarised, write_extras
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.reference import Provenance, Reference
from identity_masker.serving.picture_code import SIZE, to_text
from identity_masker.telemetry import event_store
from identity_masker.telemetry.events import hour_files
from identity_masker.telemetry.events.kinds import Kind

VERSION = "3"
DAY = timedelta(days=1)
FIRST = date(2026, 11, 2)
Rng = np.random.Generator


def policy(**changes: Any) -> DriftPolicy:
    """A policy with few permutations."""
    quick = {"embeddings": {"rows": 300, "permutations": 99, "named": 5}, "kept_rows": 400}
    traffic = {"examples": 4, "run_length": 500.0, **changes.pop("traffic", {})}
    columns = {"status": {"kind": "category"}, "latency_ms": {"floor": 0.5}}
    return DriftPolicy.model_validate({**quick, "columns": columns, **changes, "traffic": traffic})


def measured(rng: Rng, rows: int, darker: Any = 0.0) -> dict[str, Any]:
    """Descriptors, outputs and codes of requests; `darker` shifts brightness and codes by that many deviations."""
    darker = np.asarray(darker)
    codes = rng.normal(0.0, 12.0, (rows, SIZE)) - 12.0 * np.broadcast_to(darker, (rows,))[:, None]
    return {
        "brightness": 0.5 + 0.1 * (rng.normal(size=rows) - darker),
        "contrast": 0.2 + 0.03 * rng.normal(size=rows),
        "sharpness": 0.3 + 0.05 * rng.normal(size=rows),
        "changed": rng.beta(8.0, 4.0, rows),
        "masked_code": [to_text(np.clip(code, -127, 127).astype(np.int8)) for code in codes],
    }


def requests(
    rng: Rng, start: datetime, rows: int, version: str = VERSION, darker: Any = 0.0, **columns: Any
) -> pa.Table:
    """Request events at even times from `start`, within a day."""
    times = [start + timedelta(seconds=int(86_399 * row / rows)) for row in range(rows)]
    texts = {"unit": "", "variant": "champion", "version": version, "semver": "1.0.0", "error": "", "experiments": "{}"}
    ids = [f"r-{start:%m%d}-{row}" for row in range(rows)]
    made = {
        **{name: [value] * rows for name, value in texts.items()},
        "event_id": [f"e-{each}" for each in ids],
        "request_id": ids,
        "time": times,
        "latency_ms": rng.lognormal(2.5, 0.4, rows),
        "status": [200] * rows,
        **measured(rng, rows, darker),
        **columns,
    }
    return pa.table({name: pa.array(values) for name, values in made.items()})


def add(store: Path, day: date, column: str, values: Any) -> None:
    """Write another column into the requests of a day, in order of time."""
    paths = sorted((store / "events" / "requests" / f"date={day}").rglob("*.parquet"))
    left = list(values)
    for path in paths:
        table = pq.read_table(path, partitioning=None)
        own, left = left[: table.num_rows], left[table.num_rows :]
        made = pa.array(own, pa.string() if isinstance(values[0], str) else pa.float64())
        pq.write_table(table.append_column(column, made), path)


def put(store: Path, kind: Kind, table: pa.Table, *, drop: tuple[str, ...] = ()) -> None:
    """Write events into their hours, as the compaction does; columns of `drop` are not there."""
    wanted = [field for field in hour_files.schema(kind) if field.name in table.column_names and field.name not in drop]
    table = table.select([field.name for field in wanted])
    hours = [event_store.hour_of(time) for time in table.column("time").to_pylist()]
    for hour in sorted(set(hours)):
        part = table.filter(pa.array([each == hour for each in hours])).cast(pa.schema(wanted))
        folder = Path(event_store.hour_uri(str(store), kind, hour))
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, folder / f"part-{len(list(folder.iterdir()))}.parquet")


def complete(store: Path, day: date, hours: int = 24) -> None:
    """Mark the first `hours` of a day as whole."""
    for hour in range(hours):
        moment = midnight(day) + timedelta(hours=hour)
        uri = artifacts.join(event_store.hour_uri(str(store), "requests", moment), event_store.COMPLETE)
        artifacts.write_json(uri, {"events": 0, "sha256": ""})


def night(store: Path, day: date, rows: int = 300, *, seed: int = 0, **columns: Any) -> None:
    """One whole day of traffic."""
    rng = np.random.default_rng((seed, day.toordinal()))
    put(store, "requests", requests(rng, midnight(day), rows, **columns))
    complete(store, day)


def examples(store: Path, day: date, rows: int, shade: int = 40) -> None:
    """Kept masked pictures of the first requests of a day."""
    pictures = [base64.b64encode(jpeg(shade + row)).decode() for row in range(rows)]
    made = {
        "event_id": [f"x-{row}" for row in range(rows)],
        "time": [midnight(day)] * rows,
        "request_id": [f"r-{day:%m%d}-{row}" for row in range(rows)],
        "version": [VERSION] * rows,
        "picture": pictures,
    }
    put(store, "examples", pa.table(made))


def jpeg(shade: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (64, 64), (shade, shade, shade)).save(target, "JPEG")
    return target.getvalue()


def model_reference(
    rows: int = 2_000, *, seed: int = 9, given: DriftPolicy | None = None, version: str = VERSION
) -> str:
    """Store a reference of the traffic without drift, as `make_model_reference` does it; its folder."""
    rng = np.random.default_rng(seed)
    uri, rules = archive.reference_uri(version), given or policy()
    table = with_vectors(pa.table(measured(rng, rows)))
    seen = pa.table({name: measured(rng, rows)[name] for name in ("brightness", "contrast", "sharpness")})
    made = Reference(Provenance(source="rendered-1.0.0", model_version=version), summarised(seen, table, rules))
    reference.save(made, uri)
    masked = np.full((rows, 64, 64, 3), 120, dtype=np.uint8)
    write_extras(MaskedRows(table, masked), rules, Path(uri.removeprefix("file://")))
    return uri


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
