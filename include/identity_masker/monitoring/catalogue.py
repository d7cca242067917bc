"""The catalogue: every metric of every process, as the code declares it, for docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from identity_masker.alerts.service_measures import ServiceMeasures
from identity_masker.monitoring import exporter
from identity_masker.monitoring.refresher import OWN
from identity_masker.monitoring.sample import Family
from identity_masker.serving.board import Board
from identity_masker.serving.characteristics import Characteristics
from identity_masker.serving.fleet_measures import FleetMeasures
from identity_masker.serving.gateway_measures import GatewayMeasures
from identity_masker.serving.quality_measures import QualityMeasures
from identity_masker.serving.server_measures import ServerMeasures
from identity_masker.settings import Settings
from identity_masker.telemetry.events.measures import EventMeasures
from identity_masker.telemetry.metrics import HttpMetrics
from identity_masker.telemetry.step_figures import LABELS, StepMeasures, SuccessMeasures

Row = tuple[str, str, str, str]
"""Name as queries use it, kind, labels, help."""


def catalogue(config: Settings) -> str:
    """The catalogue as Markdown: a table a process, one a source of the exporter.

    Raises `BadInputError` when metrics.yaml does not validate.
    """
    sources = exporter.sources(config)
    shown = [(f"Exporter: {source.name.replace('_', ' ')}", map(_declared, source.families)) for source in sources]
    parts = [*_processes(), *shown, ("Exporter: itself", map(_declared, OWN))]
    return "\n".join(_table(title, rows) for title, rows in parts)


def names(config: Settings) -> set[str]:
    """Every name of the catalogue."""
    found = {row[0] for _, rows in _processes() for row in rows}
    return found | {family.series for source in exporter.sources(config) for family in (*source.families, *OWN)}


def _processes() -> list[tuple[str, list[Row]]]:
    """A process with all that it registers; nothing is served."""
    server = HttpMetrics("server")
    ServerMeasures(server, capacity=1, taken=lambda: 0.0)
    gateway = HttpMetrics("gateway")
    GatewayMeasures(gateway, Board())
    EventMeasures(gateway.registry)
    Characteristics(lambda _: {}, gateway.registry)
    QualityMeasures(gateway.registry)
    alerts = HttpMetrics("alerts")
    ServiceMeasures(alerts.registry, ())
    steps = CollectorRegistry()
    StepMeasures(steps)
    SuccessMeasures(steps)
    fleet = CollectorRegistry()
    with TemporaryDirectory() as folder:
        FleetMeasures(fleet, Path(folder))
    return [
        ("Gateway", list(_registered(gateway.registry))),
        ("Model server", list(_registered(server.registry))),
        ("Fleet", list(_registered(fleet))),
        ("Alert service", list(_registered(alerts.registry))),
        ("Steps of DAGs, pushed", [_of_step(row) for row in _registered(steps)]),
    ]


def _registered(registry: CollectorRegistry) -> Iterator[Row]:
    """What was registered, with its labels: a registry tells them of series alone, and there may be none yet."""
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            metric = next(iter(collector.describe()))
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            yield name, metric.type, ", ".join(collector._labelnames), metric.documentation
        elif isinstance(collector, QualityMeasures):
            yield from map(_collected, collector.collect())


def _of_step(row: Row) -> Row:
    """With the labels that the push adds."""
    name, kind, _, text = row
    return name, kind, ", ".join(LABELS), text


def _collected(metric: Metric) -> Row:
    """A family that a collector of our own makes anew at each scrape."""
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    return name, metric.type, ", ".join(getattr(metric, "_labelnames", ())), metric.documentation


def _declared(family: Family) -> Row:
    return family.series, family.kind, ", ".join(family.labels), family.help


def _table(title: str, rows: Iterable[Row]) -> str:
    lines = [
        f"| `{name}` | {kind} | {labels} | {text.replace('|', chr(92) + '|')} |" for name, kind, labels, text in rows
    ]
    return "\n".join([f"### {title}", "", "| metric | kind | labels | what |", "| --- | --- | --- | --- |", *lines, ""])
