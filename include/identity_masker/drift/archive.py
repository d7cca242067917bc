"""Where the nightly check keeps what: `STORE/drift/VERSION/…`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.settings import settings

COLLECTED, VERDICT, REPORT = "collected.json", "verdict.json", "report.html"
EXAMPLES, DETECTOR, STREAM = "examples.parquet", "detector.npz", "stream.json"
"""Beside the files of a reference: masked pictures with their codes, the stream detector, and its columns."""

STAMP = "%Y%m%dT%H%M%SZ"
DAY = timedelta(days=1)
_TRAININGS = "trainings"
NOBODY = "none"
"""In place of a version while none is deployed."""


def version_uri(version: str) -> str:
    return artifacts.join(settings().store, "drift", version)


def versions() -> list[str]:
    """The versions of which something is kept."""
    return [name for name in artifacts.names(artifacts.join(settings().store, "drift")) if name != _TRAININGS]


def reference_uri(version: str) -> str:
    """The folder of the reference of a version; a copy of what its MLflow run has."""
    return artifacts.join(version_uri(version), "reference")


def window_uri(version: str, start: datetime, end: datetime) -> str:
    """The folder of a window: its tables, evidence, verdict and report."""
    names = (moment.astimezone(UTC).strftime(STAMP) for moment in (start, end))
    return artifacts.join(version_uri(version), "windows", "--".join(names))


def evidence_uri(window: str, group: str) -> str:
    return artifacts.join(window, f"evidence-{group}.json")


def nights_uri(version: str) -> str:
    return artifacts.join(version_uri(version), "nights")


def trainings_uri() -> str:
    """The folder of the nights that started a training, of all versions."""
    return artifacts.join(settings().store, "drift", _TRAININGS)


def days(uri: str) -> list[date]:
    """The days that have a file `YYYY-MM-DD.json` under `uri`, in order."""
    return sorted(date.fromisoformat(name[:-5]) for name in artifacts.names(uri) if name.endswith(".json"))


def period(
    start: datetime | None, end: datetime | None, night: date | None, now: datetime
) -> tuple[datetime, datetime]:
    """The window that is meant, in UTC: a night (a day from midnight), or from `start` to `end`; else yesterday.

    Raises `BadInputError` for half a window, an empty one, or a night and times together.
    """
    if night is not None and (start or end):
        raise BadInputError("a night and times exclude each other", got=f"night {night} with --start or --end")
    if (start is None) != (end is None):
        raise BadInputError("a window has a start and an end", got=f"{start} to {end}", fix="pass both, or neither")
    if start is None or end is None:
        day = night or now.astimezone(UTC).date() - DAY
        midnight = datetime.combine(day, time(), UTC)
        return midnight, midnight + DAY
    first, last = (moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (start, end))
    if first >= last:
        raise BadInputError("the window is empty", got=f"{first} to {last}", allowed="a start before the end")
    return first.astimezone(UTC), last.astimezone(UTC)
