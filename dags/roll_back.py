"""
### Roll back

Gives up the rollout under way; when there is none, brings the version that served before (or the named one) before all
users again.

**Starts** by hand or through the API.
**Announces** the asset `masker_champion` with the version that now serves.
**When it fails**: the log of `rollback` says what does not answer. Without Airflow: `masker release rollback`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from masker_airflow import DEFAULT_ARGS, LIGHT, MASKER_CHAMPION, STEPS_POOL, TAGS, version_param, watched
from masker_smoke import masks_a_picture
from masker_step import MaskerStep

PARAMS = {
    "version": version_param(
        "previous", "1.2.0, a version number of MLflow, or previous: the champion before this one."
    ),
}

with DAG(
    dag_id="roll_back",
    schedule=None,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "serving", "release"],
    doc_md=__doc__,
    **watched(timedelta(minutes=30)),
) as dag:
    rollback = MaskerStep(
        task_id="rollback",
        command="release rollback",
        options={"to": "{{ params.version }}"},
        pool=STEPS_POOL,
        execution_timeout=timedelta(minutes=10),
    )

    @task(**LIGHT)
    def smoke(rolled_back):
        """Send a picture through the gateway until the version masks it."""
        return masks_a_picture(connection="masker_gateway", version=rolled_back["semver"])

    @task(outlets=[MASKER_CHAMPION], **LIGHT)
    def publish(rolled_back, *, outlet_events):
        """Announce the version that now serves."""
        outlet_events[MASKER_CHAMPION].extra = {name: rolled_back[name] for name in ("version", "semver", "revision")}

    smoke(rollback.output) >> publish(rollback.output)
