"""
### Deploy a masker

Brings a registered version before all users at once and sends it a picture to see that it answers.

**Starts** when `masker_candidate` is announced, by hand with a version, or through the API. A candidate that was
announced is deployed here only when nothing serves yet; otherwise `promote_canary` compares it with the champion.
**Announces** the asset `masker_champion` with the version that now serves.
**When it fails**: when `deploy` failed, the version that served before still serves; when `smoke` failed, deploy the
version that the result of `deploy` calls `previous`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from masker_airflow import (
    CANDIDATE_PARAM,
    DEFAULT_ARGS,
    LIGHT,
    MASKER_CANDIDATE,
    MASKER_CHAMPION,
    STEPS_POOL,
    TAGS,
    last_event,
    watched,
)
from masker_rollout import champion
from masker_smoke import masks_a_picture
from masker_step import MaskerStep

PARAMS = {
    "version": CANDIDATE_PARAM,
    "timeout": Param(
        120,
        type="integer",
        minimum=5,
        maximum=3600,
        title="Patience in seconds",
        description="How long the new version may take to load before the deployment is given up.",
    ),
}

with DAG(
    dag_id="deploy_masker",
    schedule=[MASKER_CANDIDATE],
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "serving"],
    doc_md=__doc__,
    **watched(timedelta(hours=2)),
) as dag:

    @task(**LIGHT)
    def choose(*, params, triggering_asset_events):
        """The version to deploy: the candidate that started this run, else the one that the person named."""
        event = last_event(triggering_asset_events, MASKER_CANDIDATE)
        if event is None:
            return params["version"]
        serving = champion("masker_gateway")
        if serving not in (None, event["version"]):
            raise AirflowSkipException(
                f"version {serving} serves: promote_canary releases {event['version']} beside it"
            )
        return event["version"]

    deploy = MaskerStep(
        task_id="deploy",
        command="deploy",
        options={"version": choose(), "timeout": "{{ params.timeout }}"},
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=1, minutes=10),
    )

    @task(**LIGHT)
    def smoke(deployed):
        """Send a picture through the gateway until the deployed version masks it."""
        return masks_a_picture(connection="masker_gateway", version=deployed["semver"])

    @task(outlets=[MASKER_CHAMPION], **LIGHT)
    def publish(deployed, *, outlet_events):
        """Announce the version that now serves."""
        outlet_events[MASKER_CHAMPION].extra = {name: deployed[name] for name in ("version", "semver", "revision")}

    smoke(deploy.output) >> publish(deploy.output)
