"""Reads each source in a thread of its own, and shows Prometheus what was read last: a scrape never waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from identity_masker.errors import MaskerError
from identity_masker.monitoring.sample import Family, Sample, Source
from identity_masker.telemetry import logs

MOST_SAMPLES = 2000
"""Of one source; more are not shown: a label with unbounded values must not fill Prometheus."""

KEPT_ROUNDS = 5
"""What was read is shown for so many rounds without a successful one; then it is too old to be told as present."""

UP = Family("masker_exporter_source_up", "Whether the last read of the source succeeded.", ("source",))
SECONDS = Family("masker_exporter_source_read_seconds", "Time of the source's last read.", ("source",))
SUCCESS = Family(
    "masker_exporter_source_success_timestamp_seconds", "When the source was last read with success.", ("source",)
)
DROPPED = Family(
    "masker_exporter_source_dropped_samples", "Samples of the last read beyond what one source may show.", ("source",)
)
OWN = (UP, SECONDS, SUCCESS, DROPPED)
log = logs.logger(__name__)


class _Followed:
    """A source and what it last gave."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.samples: tuple[Sample, ...] = ()
        self.own: tuple[Sample, ...] = ()
        self._success = 0.0
        self._trouble = ""

    def refresh(self) -> None:
        """Read once. Nothing that a source raises ends the exporter."""
        began = time.monotonic()
        try:
            found = tuple(self.source.read())
        except Exception as error:  # a bug in one source must not take the others' metrics away
            self._troubled(str(error) if isinstance(error, MaskerError) else f"{type(error).__name__}: {error}")
            found = None
        else:
            self._troubled("")
            self._success = time.time()
        self._show(found, time.monotonic() - began)

    def _show(self, found: tuple[Sample, ...] | None, seconds: float) -> None:
        name = self.source.name
        own = [UP.sample(found is not None, name), SECONDS.sample(seconds, name)]
        if found is not None:
            self.samples = found[:MOST_SAMPLES]
            own.append(DROPPED.sample(max(0, len(found) - MOST_SAMPLES), name))
        elif time.time() - self._success > KEPT_ROUNDS * self.source.every:
            self.samples = ()
        if self._success:
            own.append(SUCCESS.sample(self._success, name))
        self.own = tuple(own)

    def _troubled(self, trouble: str) -> None:
        """Log a change only, not every round."""
        if bool(trouble) != bool(self._trouble):
            (log.warning if trouble else log.info)("source", source=self.source.name, ok=not trouble, detail=trouble)
        self._trouble = trouble


class Refresher(Collector):
    """A collector of all sources. The threads run while it is entered."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._followed = [_Followed(source) for source in sources]
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for each in self._followed:
            thread = threading.Thread(target=self._follow, args=(each,), name=each.source.name, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)

    def refresh(self) -> None:
        """Read every source once, here."""
        for each in self._followed:
            each.refresh()

    def _follow(self, followed: _Followed) -> None:
        while True:
            followed.refresh()
            if self._stopping.wait(followed.source.every):
                return

    def collect(self) -> Iterator[Metric]:
        """What was read last, by family."""
        found: dict[Family, Metric] = {}
        for followed in self._followed:
            for sample in (*followed.samples, *followed.own):
                metric = found.get(sample.family)
                if metric is None:
                    metric = found[sample.family] = _metric(sample.family)
                metric.add_metric(sample.labels, sample.value)  # type: ignore[attr-defined]
        yield from found.values()

    def describe(self) -> Iterator[Metric]:
        """Nothing is read to register this: all families, without values."""
        families = {family: None for each in self._followed for family in each.source.families}
        yield from (_metric(family) for family in (*families, *OWN))


def _metric(family: Family) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    return kind(family.name, family.help, labels=family.labels)
