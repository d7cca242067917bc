"""
### Bring in faces

Lists a source of face pictures and plans what in it is new (`plan`), reads that in parts, each in a pod or process of
its own (`read`), and makes the dataset version of it (`ingest`): bad files set aside, duplicates removed, everything
described and split by identity. Then the expectations are checked; a dataset that breaks one of the rules that stop is
never announced. Beside the announcement, the descriptors of its pictures come into the feature store.

**Starts** every night at 03:00 UTC, by hand, or through the API.
**Announces** the asset `face_dataset` with the dataset version, which starts `train_masker`.
**When it fails**: what was read stays, so a retry or the next run goes on from there. The result of `ingest` lists the
reasons for which files were set aside, and where their names are; the result of `validate` names the failed rules and
its report.
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
        title="Source",
        description="Folder of pictures with one sub-folder a person, archive, video, or URI of a manifest; empty for "
        "the source of the configuration.",
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
    plan = MaskerStep(
        task_id="plan",
        command="data plan",
        options={
            # With a source and no configuration, the command takes the one for folders.
            "config": "{{ params.config or ('' if params.source else var.value.masker_dataset_config) }}",
            "source": "{{ params.source }}",
            "images": "{{ params.images or '' }}",
        },
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=1),
    )

    @task(**LIGHT)
    def parts(planned):
        """What is to be read, a part a pod; nothing when there is so little that `ingest` reads it on its way."""
        return planned["parts"]

    read = MaskerStep.partial(
        task_id="read",
        command="data read",
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=2),
        map_index_template="part {{ task.options['part'] }}",
    ).expand(options=parts(plan.output))

    ingest = MaskerStep(
        task_id="ingest",
        command="data ingest",
        options={"plan": plan.output["plan"]},
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=2),
        trigger_rule="none_failed",
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
    def publish(ingested, validated, *, outlet_events):
        """Announce the dataset version, with what it holds and its report, to whoever waits for new faces."""
        held = ("version", "snapshot", "inputs", "accepted", "quarantined", "duplicates", "people", "splits")
        outlet_events[FACE_DATASET].extra = {
            **{name: ingested[name] for name in held},
            "report": validated["docs_uri"],
            "warnings": validated["warnings"],
        }

    read >> ingest >> validate >> publish(ingest.output, validate.output)
    validate >> describe
