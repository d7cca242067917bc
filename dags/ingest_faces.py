"""
### Bring in faces

Reads a source of face pictures, sets bad files aside, removes duplicates, describes and splits by identity, and keeps
the result as a dataset version. Then the expectations are checked; a dataset that breaks one of the rules that stop
is never announced. Beside the announcement, the descriptors of its pictures come into the feature store.

**Starts** every night at 03:00 UTC, by hand, or through the API.
**Announces** the asset `face_dataset` with the dataset version, which starts `train_masker`.
**When it fails**: the log of `ingest` lists the reasons for which files were set aside; the result of `validate` names
the failed rules and its report.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param, task

from masker_airflow import DEFAULT_ARGS, FACE_DATASET, LIGHT, STEPS_POOL, TAGS, watched
from masker_step import MaskerStep

PARAMS = {
    "config": Param(
        "",
        type="string",
        pattern="^([a-z0-9][a-z0-9-]*)?$",
        title="Dataset configuration",
        description="Name of a file in include/config/datasets; empty for the Variable masker_dataset_config, or for "
        "the one for folders when a source is given.",
    ),
    "source": Param(
        "",
        type="string",
        title="Source folder",
        description="Folder of pictures with one sub-folder a person; empty for the source of the configuration.",
    ),
    "images": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=10_000_000,
        title="Number of pictures",
        description="How many pictures to bring in at most; empty for the number in the configuration.",
    ),
}

with DAG(
    dag_id="ingest_faces",
    # No start date and no look back beyond 5 minutes: switching the DAG on does not start a run for the night before.
    schedule=CronTriggerTimetable("0 3 * * *", timezone="UTC", run_immediately=timedelta(minutes=5)),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "data"],
    doc_md=__doc__,
    **watched(timedelta(hours=3)),
) as dag:
    ingest = MaskerStep(
        task_id="ingest",
        command="data ingest",
        options={
            # With a source and no configuration, the command takes the one for folders.
            "config": "{{ params.config or ('' if params.source else var.value.masker_dataset_config) }}",
            "source": "{{ params.source }}",
            "images": "{{ params.images or '' }}",
        },
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=2),
    )

    validate = MaskerStep(
        task_id="validate",
        command="data validate",
        options={"dataset": ingest.output["version"]},
        pool=STEPS_POOL,
    )

    describe = MaskerStep(
        task_id="describe",
        command="features ingest",
        options={"dataset": ingest.output["version"]},
        pool=STEPS_POOL,
    )

    @task(outlets=[FACE_DATASET], **LIGHT)
    def publish(ingested, *, outlet_events):
        """Announce the dataset version to whoever waits for new faces."""
        outlet_events[FACE_DATASET].extra = {"version": ingested["version"], "snapshot": ingested["snapshot"]}

    ingest >> validate >> publish(ingest.output)
    validate >> describe
