"""What the DAGs share: assets, pools, retries, alerts. One module, so that a name is written once."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

# The stub of airflow.sdk lacks some of what the module has.
from airflow.sdk import Asset, AsyncCallback, DeadlineAlert, DeadlineReference, Param  # type: ignore[attr-defined]

from masker_notifier import MaskerNotifier

OWNER = "masker"
TAGS = ["masker"]

# The chain that carries versions from one DAG to the next; what an event knows is in its `extra`.
FACE_DATASET = Asset(name="face_dataset", group="masker")  # extra: version, snapshot
MASKER_CANDIDATE = Asset(name="masker_candidate", group="masker")  # extra: version, semver, run_id, dataset
MASKER_CHAMPION = Asset(name="masker_champion", group="masker")  # extra: version, semver, revision
DRIFT_FOUND = Asset(name="drift_found", group="masker")  # extra: version, window, reason

# Pools of airflow_settings.yaml.
STEPS_POOL = "steps"
GPU_POOL = "gpu"

DEFAULT_ARGS: dict[str, Any] = {
    "owner": OWNER,
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    # A multiplier; Airflow adds jitter of up to the same delay by itself.
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(minutes=30),
    "on_failure_callback": MaskerNotifier("failed"),
    "on_retry_callback": MaskerNotifier("retries"),
}

# A light task runs inside Airflow: it reads, decides or publishes.
LIGHT: dict[str, Any] = {"execution_timeout": timedelta(minutes=5)}


def watched(late_after: timedelta) -> dict[str, Any]:
    """Arguments of a DAG: people are told of a run that takes longer than `late_after`, and of the next good one."""
    arguments: dict[str, Any] = {"on_success_callback": MaskerNotifier("succeeded")}
    # `airflow dags test` crashes at the end of a run whose DAG has a deadline (apache/airflow#73428, Airflow 3.3.2).
    if sys.argv[1:3] == ["dags", "test"]:
        return arguments
    late = DeadlineAlert(
        # Runs by hand and by asset have no logical date.
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=late_after,
        callback=AsyncCallback(MaskerNotifier, kwargs={"happening": "late"}),
    )
    return arguments | {"deadline": late}


def version_param(default: str, description: str) -> Param:
    """The parameter of a DAG that names a registered version."""
    return Param(
        default, type="string", pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", title="Model version", description=description
    )


CANDIDATE_PARAM = version_param(
    "challenger", "1.2.0, a version number of MLflow, or an alias. A run started by an asset takes the asset's."
)


def last_event(triggering_asset_events: Mapping[Asset, Sequence[Any]], asset: Asset) -> dict[str, Any] | None:
    """What the newest event of `asset` knows, when the asset started this run; several may have gathered."""
    events = triggering_asset_events.get(asset) or ()
    return dict(max(events, key=lambda event: event.timestamp).extra) if events else None
