"""A gauge whose series are replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Gauge


class WholeGauge:
    """A gauge with labels that shows the last values given and no older ones.

    A scrape in another thread never misses a series that is in both: what stays is overwritten, then the rest removed.
    """

    def __init__(self, name: str, help_: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._gauge = Gauge(name, help_, labels, registry=registry)
        self._shown: set[tuple[str, ...]] = set()

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Show `values` (labels → value) and nothing else."""
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        for labels in self._shown - values.keys():
            self._gauge.remove(*labels)
        self._shown = set(values)
