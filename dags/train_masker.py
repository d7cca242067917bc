"""
### Train a masker

Trains a masker on a dataset version, attacks it (how often does a re-identification network still find the person?),
and puts it before the gate: only a masker that hides better than it has to, and keeps what it has to keep, becomes a
candidate.

**Starts** when `face_dataset` is announced, when `check_drift` announces `drift_found` (then on the newest dataset), by
hand, or through the API.
**Announces** the asset `masker_candidate` with the model version, which starts `deploy_masker`; a rejected masker is
registered too, and announced to nobody. `reference` describes what the version was trained on: `check_drift` compares
the traffic with that every night.
**When it fails**: training resumes from its checkpoint, so clear the failed task. The result of `register` says why a
masker was rejected; curves and pictures are in MLflow under the run that `train` names.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, Variable, task
from airflow.sdk.exceptions import AirflowSkipException

from masker_airflow import (
    DEFAULT_ARGS,
    DRIFT_FOUND,
    FACE_DATASET,
    GPU_POOL,
    LIGHT,
    MASKER_CANDIDATE,
    STEPS_POOL,
    TAGS,
    last_event,
    watched,
)
from masker_step import MaskerStep

PARAMS = {
    "dataset": Param(
        "latest",
        type="string",
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$",
        title="Dataset version",
        description="A version that ingest_faces announced, or latest. A run started by an asset takes the asset's.",
    ),
    "model": Param(
        "",
        type="string",
        pattern="^([a-z0-9][a-z0-9-]*)?$",
        title="Model",
        description="Name of a file in include/config/models; empty for the Variable masker_model.",
    ),
}

with DAG(
    dag_id="train_masker",
    schedule=FACE_DATASET | DRIFT_FOUND,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "model"],
    doc_md=__doc__,
    **watched(timedelta(hours=24)),
) as dag:

    @task(multiple_outputs=True, **LIGHT)
    def plan(*, params, triggering_asset_events, dag_run):
        """Settle what is trained on what, once for all attempts of this run."""
        event = last_event(triggering_asset_events, FACE_DATASET)
        return {
            "dataset": event["version"] if event else params["dataset"],
            "model": params["model"] or Variable.get("masker_model", default="masker-64"),
            "run_key": f"{dag_run.dag_id}/{dag_run.run_id}",
        }

    planned = plan()

    train = MaskerStep(
        task_id="train",
        command="train",
        options={"model": planned["model"], "dataset": planned["dataset"], "run-key": planned["run_key"]},
        hardware="gpu",
        pool=GPU_POOL,
        execution_timeout=timedelta(hours=12),
    )

    evaluate = MaskerStep(
        task_id="evaluate",
        command="evaluate",
        options={"run": train.output["run_id"]},
        hardware="gpu",
        pool=GPU_POOL,
        execution_timeout=timedelta(hours=6),
    )

    register = MaskerStep(
        task_id="register",
        command="register",
        options={"run": train.output["run_id"]},
        pool=STEPS_POOL,
    )

    reference = MaskerStep(
        task_id="reference",
        command="drift reference",
        options={"model-version": register.output["version"]},
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=2),
    )

    @task(outlets=[MASKER_CANDIDATE], **LIGHT)
    def publish(registered, trained, *, outlet_events):
        """Announce the model version, if the gate accepted it."""
        if registered["verdict"] != "accepted":
            raise AirflowSkipException(f"the gate rejected the masker: {'; '.join(registered['reasons'])}")
        known = {name: registered[name] for name in ("version", "semver", "run_id")}
        outlet_events[MASKER_CANDIDATE].extra = {**known, "dataset": trained["dataset"]}

    train >> evaluate >> register >> reference >> publish(register.output, train.output)
