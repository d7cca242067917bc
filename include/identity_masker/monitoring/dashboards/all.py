"""Every dashboard, and their files."""

from __future__ import annotations

from pathlib import Path

from identity_masker import artifacts
from identity_masker.monitoring.dashboards.business import BUSINESS
from identity_masker.monitoring.dashboards.data_drift import DATA_DRIFT
from identity_masker.monitoring.dashboards.experiments import EXPERIMENTS
from identity_masker.monitoring.dashboards.grafana import Dashboard
from identity_masker.monitoring.dashboards.infrastructure import INFRASTRUCTURE
from identity_masker.monitoring.dashboards.model_performance import MODEL_PERFORMANCE
from identity_masker.monitoring.dashboards.pipelines import PIPELINES
from identity_masker.monitoring.dashboards.system_health import SYSTEM_HEALTH

DASHBOARDS: tuple[Dashboard, ...] = (
    SYSTEM_HEALTH,
    MODEL_PERFORMANCE,
    DATA_DRIFT,
    INFRASTRUCTURE,
    EXPERIMENTS,
    PIPELINES,
    BUSINESS,
)


def write_dashboards(folder: Path) -> list[Path]:
    """Write every dashboard into `folder`; the files. Raises `BadInputError` when it cannot be written to."""
    found = []
    for dashboard in DASHBOARDS:
        path = folder / f"{dashboard.name}.json"
        artifacts.write_bytes(str(path), dashboard.text().encode())
        found.append(path)
    return found
