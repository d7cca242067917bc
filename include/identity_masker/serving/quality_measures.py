"""The quality of answers as metrics: number, sum and sum of squares, from which means and variances follow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from identity_masker.serving.quality import Quality

VALUES, SUM, SQUARES = (f"masker_gateway_quality_{name}" for name in ("values", "sum", "squares"))
EXAMINER = "masker_gateway_examiner_info"
LABELS = ("measure", "version", "via", "examiner")
Series = tuple[str, str, str, str]


class QualityMeasures(Collector):
    """Counts qualities by measure, version, why the request went there, and examiner. Safe to use from threads.

    All three numbers are read under one lock: a reader never sees a value counted and not yet added.
    """

    def __init__(self, registry: CollectorRegistry, examiner: Callable[[], str] = lambda: "") -> None:
        """`examiner()` names the one that scores now; empty for none."""
        self._lock = threading.Lock()
        self._series: dict[Series, tuple[int, float, float]] = {}
        self._examiner = examiner
        self.dropped = Counter(
            "masker_gateway_quality_dropped", "Sampled answers that were not scored.", ["reason"], registry=registry
        )
        registry.register(self)

    def add(self, quality: Quality, version: str, via: str, examiner: str) -> None:
        """Count what was measured; what was not is left out, never counted as 0."""
        with self._lock:
            for measure, value in quality._asdict().items():
                if value is not None:
                    key = (measure, version, via, examiner)
                    n, total, squares = self._series.get(key, (0, 0.0, 0.0))
                    self._series[key] = (n + 1, total + value, squares + value * value)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            series = dict(self._series)
        for at, (name, text) in enumerate(
            (
                (VALUES, "Answers with a value of the measure: leak, face_found or outside."),
                (SUM, "Sum of the values."),
                (SQUARES, "Sum of the squares of the values."),
            )
        ):
            family = CounterMetricFamily(name, text, labels=LABELS)
            for key, numbers in series.items():
                family.add_metric(key, numbers[at])
            yield family
        which = GaugeMetricFamily(EXAMINER, "The examiner that scores answers.", labels=("examiner",))
        if name := self._examiner():
            which.add_metric((name,), 1)
        yield which

    def describe(self) -> Iterator[Metric]:
        return iter(())
