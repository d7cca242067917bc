"""The stream between nights: has the traffic of the last minutes left the reference?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from pydantic import BaseModel
from scipy.stats import poisson

from identity_masker import artifacts
from identity_masker.drift import archive
from identity_masker.drift.alert_message import Alert
from identity_masker.drift.online import StreamDetector
from identity_masker.drift.policy import DriftPolicy
from identity_masker.serving.answers import SHADOW
from identity_masker.serving.request_log import OK
from identity_masker.telemetry.events.reading import newest

MOST_ROWS = 100_000
FEWEST_QUIET = 100
DAY = timedelta(days=1)
Row = dict[str, object]


class Watched(BaseModel):
    """What the detector saw. `expected`: alarms that so many rows without drift bring on average.

    `p_value`: of so many alarms or more without drift (they come one by one, like a Poisson process). `drift`: whether
    that is below the level at which all windows of so many nights together raise one false alarm. `strongest`: the
    columns of the first alarm, each with its shift in standard errors, largest first. `note`: why nothing was watched.
    """

    version: str
    semver: str = ""
    since: str
    rows: int = 0
    alarms: int = 0
    expected: float = 0.0
    p_value: float = 1.0
    drift: bool = False
    first_alarm: str | None = None
    strongest: dict[str, float] = {}
    alert: Alert | None = None
    note: str = ""


def watch(version: str, semver: str, events: Path, store: str, since: datetime, policy: DriftPolicy) -> Watched:
    """Run the version's detector over its masked requests since then, stored or not yet compacted, in order of time.

    The newest 100,000 events are read. Raises `NotFoundError` when the version has no reference in the store.
    """
    uri = archive.reference_uri(version)
    nothing = Watched(version=version, semver=semver, since=since.isoformat())
    if not artifacts.exists(artifacts.join(uri, archive.DETECTOR)):
        return nothing.model_copy(update={"note": "the reference has too few masked pictures for a detector"})
    detector = StreamDetector.from_bytes(artifacts.read_bytes(artifacts.join(uri, archive.DETECTOR)))
    columns = [str(name) for name in artifacts.read_json(artifacts.join(uri, archive.STREAM))]
    rows = [row for row in newest(events, store, "requests", since, MOST_ROWS) if _is_masked(row, version)]
    alarms = _alarms(detector, columns, rows[::-1])
    first, strongest = alarms[0] if alarms else (None, {})
    expected = len(rows) / detector.run_length
    p_value = float(poisson.sf(len(alarms) - 1, expected)) if alarms else 1.0
    level = min(1.0, (datetime.now(UTC) - since) / DAY) / policy.false_alarms.nights
    found = nothing.model_copy(
        update={
            "rows": len(rows), "alarms": len(alarms), "expected": expected, "p_value": p_value,
            "drift": p_value <= level, "first_alarm": first, "strongest": strongest,
        }
    )  # fmt: skip
    return found.model_copy(update={"alert": _alert(found)})


def _alarms(detector: StreamDetector, columns: list[str], rows: list[Row]) -> list[tuple[str, dict[str, float]]]:
    """Time of each alarm, and the shift of each column at it."""
    found = []
    for row in rows:
        values = np.array([np.nan if row.get(name) is None else row[name] for name in columns], dtype=np.float64)
        reading = detector.update(values)
        if reading.alarm:
            found.append((str(row["time"]), _named(columns, reading.columns.tolist())))
    return found


def _alert(found: Watched) -> Alert | None:
    """Drift, or that it is over: rows enough and no alarm at all."""
    name, incident = found.semver or found.version, f"drift/{found.version}/stream"
    facts = {"model version": name, "since": found.since}
    if not found.drift and (found.alarms or found.rows < FEWEST_QUIET):
        return None
    if not found.drift:
        title, text = f"the traffic of version {name} is as its reference", f"no alarm in {found.rows} requests"
        return Alert(incident=incident, state="resolved", severity="info", title=title, text=text, facts=facts)
    moved = ", ".join(f"{column} {shift:+.1f}" for column, shift in found.strongest.items())
    return Alert(
        incident=incident,
        state="firing",
        severity="warning",
        title=f"the traffic of version {name} has left its reference",
        text=f"{found.alarms} alarms in {found.rows} requests, {found.expected:.2g} expected",
        facts={**facts, "first alarm": str(found.first_alarm), "shifts in standard errors": moved},
    )


def _is_masked(row: Row, version: str) -> bool:
    """Whether a user got a masked picture of the version: a copy that went to a shadow met nobody."""
    return row["version"] == version and row["status"] == OK and row.get("via") != SHADOW


def _named(columns: list[str], shifts: list[float]) -> dict[str, float]:
    order = sorted(zip(columns, shifts, strict=True), key=lambda pair: -abs(pair[1]))
    return {name: round(shift, 3) for name, shift in order}
