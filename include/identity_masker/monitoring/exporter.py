"""The exporter: one process that shows recorded state as metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from identity_masker.monitoring.custom import load_metrics
from identity_masker.monitoring.refresher import Refresher
from identity_masker.monitoring.sample import Source
from identity_masker.monitoring.sources.airflow import AirflowSource
from identity_masker.monitoring.sources.alerts import AlertsSource
from identity_masker.monitoring.sources.data import DataSource
from identity_masker.monitoring.sources.drift import DriftSource
from identity_masker.monitoring.sources.event_log import EventLogSource
from identity_masker.monitoring.sources.events import EventsSource
from identity_masker.monitoring.sources.experiments import ExperimentsSource
from identity_masker.monitoring.sources.gpu import GpuSource
from identity_masker.monitoring.sources.models import ModelsSource
from identity_masker.monitoring.sources.release import ReleaseSource
from identity_masker.settings import Settings
from identity_masker.telemetry.exposition import exposed, process_registry

FILE = "metrics.yaml"


def sources(config: Settings) -> list[Source]:
    """Every source. Raises `BadInputError` when metrics.yaml does not validate."""
    return [
        AirflowSource(config),
        DataSource(config.store),
        ModelsSource(config.tracking_uri),
        ReleaseSource(config.control_url, config.store),
        ExperimentsSource(config),
        DriftSource(config.store),
        EventLogSource(config.events, config.store),
        EventsSource(load_metrics(config.config_dir / FILE), config.store, config.home / "cache" / "exporter"),
        AlertsSource(config.control_url),
        GpuSource(),
    ]


def run(found: Sequence[Source], host: str, port: int, stop: threading.Event, announce: Callable[[str], None]) -> None:
    """Serve the metrics of the sources until `stop` is set; `announce` is told the URL.

    Raises `ConflictError` when the port is taken.
    """
    registry = process_registry()
    with Refresher(found) as refresher, exposed(registry, host, port, variable="MASKER_EXPORTER_PORT") as url:
        registry.register(refresher)
        announce(url)
        stop.wait()
