"""The metrics declared in metrics.yaml, over the hours of events that are whole.

A gauge is computed over the last days. A counter counts each hour once, when it has become whole, and starts at zero
with the exporter, as every counter of Prometheus does with its process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from identity_masker.errors import MaskerError
from identity_masker.monitoring.custom import VALUE, CustomMetric, CustomMetrics
from identity_masker.monitoring.event_views import VIEWS, event_views, rows
from identity_masker.monitoring.sample import Family, Sample
from identity_masker.monitoring.stored_files import LocalCopies
from identity_masker.telemetry import event_store, logs
from identity_masker.telemetry.events.kinds import Kind

OK = Family("masker_exporter_custom_metric_ok", "Whether the last query of a declared metric succeeded.", ("metric",))
UNTIL = Family("masker_exporter_events_until_timestamp_seconds", "All hours of events before it are counted.")
Labels = tuple[str, ...]
log = logs.logger(__name__)


class EventsSource:
    """Runs the declared queries when an hour has become whole, or one that was has changed."""

    name = "events"
    every = 60.0

    def __init__(self, declared: CustomMetrics, store: str, cache: Path) -> None:
        """`cache`: a folder for copies of what lies in an object store."""
        self._declared = declared
        self._store = store
        self._copies = LocalCopies(cache)
        self._seen: object = None
        self._samples: list[Sample] = []
        self._counted: datetime | None = None
        self._totals: dict[str, dict[Labels, float]] = {}

    @property
    def families(self) -> Sequence[Family]:
        return (*(metric.family for metric in self._declared.metrics), OK, UNTIL)

    def read(self) -> Iterable[Sample]:
        until = whole_until(self._store, datetime.now(UTC), self._declared.days)
        if until is None:
            return []
        since = until - timedelta(days=self._declared.days)
        uris = {kind: event_store.files(self._store, kind, since, until) for kind in VIEWS}
        seen = (until, self._copies.fingerprint(uri for found in uris.values() for uri in found))
        if seen != self._seen:
            files = self._copies.paths(uris)
            self._samples = [*self._compute(files, since, until), UNTIL.sample(until.timestamp())]
            self._seen = seen
        return self._samples

    def _compute(self, files: Mapping[Kind, Sequence[Path]], since: datetime, until: datetime) -> Iterator[Sample]:
        for metric in self._declared.metrics:
            first = since if metric.kind == "gauge" or self._counted is None else self._counted
            try:
                with event_views(files, memory=self._declared.memory, since=first, until=until) as connection:
                    found = self._values(connection, metric)
            except MaskerError as error:
                log.error("metric_failed", metric=metric.name, why=str(error))
                yield OK.sample(0, metric.name)
                continue
            yield OK.sample(1, metric.name)
            shown = found if metric.kind == "gauge" else self._total(metric.name, found)
            yield from (metric.family.sample(value, *labels) for labels, value in shown.items())
        self._counted = until

    def _values(self, connection: duckdb.DuckDBPyConnection, metric: CustomMetric) -> dict[Labels, float]:
        """Labels → value; rows without a number are left out."""
        found: dict[Labels, float] = {}
        for row in rows(connection, metric.sql, self._declared.seconds):
            value = row[VALUE]
            if value is not None and math.isfinite(value):
                found[tuple(str(row[label] or "") for label in metric.labels)] = float(value)
        return found

    def _total(self, name: str, found: Mapping[Labels, float]) -> dict[Labels, float]:
        """The counter after the hours that `found` is about; the days before the exporter's start only name series."""
        starting = self._counted is None
        totals = self._totals.setdefault(name, {})
        for labels, value in found.items():
            totals[labels] = totals.get(labels, 0.0) + (0.0 if starting else max(0.0, value))
        return totals


def whole_until(store: str, now: datetime, days: int) -> datetime | None:
    """The end of the newest whole hour of requests; None when there is none in the last `days`."""
    since = now - timedelta(days=days)
    missing = set(event_store.missing_hours(store, "requests", since, now))
    whole = [hour for hour in event_store.hours(since, now) if hour not in missing]
    return whole[-1] + event_store.HOUR if whole else None
