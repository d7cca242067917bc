"""The compacted events: where they lie in the store, and which hours of them are whole.

`STORE/events/KIND/date=YYYY-MM-DD/hour=HH/*.parquet`, hours in UTC. A whole hour has `_complete.json` beside its files:
{"events": rows, "sha256": hash of the files one after the other in the order of their names}.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.telemetry.events.kinds import Kind

COMPLETE = "_complete.json"
HOUR = timedelta(hours=1)


def hour_uri(store_uri: str, kind: Kind, hour: datetime) -> str:
    """The folder of the events of `kind` whose time is in the hour that starts at `hour`."""
    return artifacts.join(_day_uri(store_uri, kind, hour), f"hour={hour:%H}")


def hour_of(time: datetime) -> datetime:
    """The start of the hour, in UTC."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hours(start: datetime, end: datetime) -> Iterator[datetime]:
    """The hours that [start, end) touches. Raises `BadInputError` for times without a zone."""
    if start.tzinfo is None or end.tzinfo is None:
        raise BadInputError("a period of events has no time zone", got=f"{start} to {end}", fix="add +00:00")
    hour = hour_of(start)
    while hour < end:
        yield hour
        hour += HOUR


def files(store_uri: str, kind: Kind, start: datetime, end: datetime) -> list[str]:
    """The Parquet files of all hours that [start, end) touches, in order of time: paths, or URIs of an object store.

    The first and the last of them also hold events outside of the period. Hours that are not whole are not left
    out: ask `missing_hours`.
    """
    return [file for _, found in _stored(store_uri, kind, start, end) for file in found if file.endswith(".parquet")]


def missing_hours(store_uri: str, kind: Kind, start: datetime, end: datetime) -> list[datetime]:
    """The hours that [start, end) touches whose events have not all arrived, as far as is known."""
    return [
        hour
        for hour, found in _stored(store_uri, kind, start, end)
        if not any(file.endswith(f"/{COMPLETE}") for file in found)
    ]


def _stored(store_uri: str, kind: Kind, start: datetime, end: datetime) -> Iterator[tuple[datetime, list[str]]]:
    """Each hour with its files. One listing a day: an object store takes tens of milliseconds for each."""
    day, listed = None, list[str]()
    for hour in hours(start, end):
        if hour.date() != day:
            day, listed = hour.date(), artifacts.tree(_day_uri(store_uri, kind, hour))
        yield hour, [file for file in listed if f"/hour={hour:%H}/" in file]


def _day_uri(store_uri: str, kind: Kind, hour: datetime) -> str:
    return artifacts.join(store_uri, "events", kind, f"date={hour:%Y-%m-%d}")
