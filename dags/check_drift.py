"""
### Check drift

Compares the traffic of a night with what the deployed version was trained on: light and sharpness of the pictures, what
masking made of them, how the masked pictures look, and how requests were answered. Writes the verdict and a report,
keeps both with MLflow, and tells people when something changed.

**Starts** every day at 02:30 UTC for the day before, by hand or through the API for any window and version.
**Announces** the asset `drift_found` after several nights in a row with drift that a training can mend
([drift.yaml](include/config/drift.yaml), at most once a week, never for faults of the data); it starts `train_masker`.
**When it fails**: the log says what is wrong with the events; a version without a reference needs
`masker drift reference`. Too little traffic and hours that have not arrived do not fail: the verdict names them.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException

from masker_airflow import DEFAULT_ARGS, DRIFT_FOUND, GPU_POOL, LIGHT, STEPS_POOL, TAGS, version_param, watched
from masker_drift import told
from masker_step import MaskerStep

PARAMS = {
    "start": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Start",
        description="First moment of the window, with its zone; empty for the day before the run.",
    ),
    "end": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="End",
        description="First moment after the window. Only whole days in UTC count as nights.",
    ),
    "version": version_param("champion", "Whose traffic: 1.2.0, a version number of MLflow, or an alias."),
}

with DAG(
    dag_id="check_drift",
    schedule=CronTriggerTimetable("30 2 * * *", timezone="UTC", run_immediately=timedelta(minutes=5)),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "drift"],
    doc_md=__doc__,
    **watched(timedelta(hours=4)),
) as dag:
    collect = MaskerStep(
        task_id="collect",
        command="drift collect",
        options={
            "model-version": "{{ params.version }}",
            "start": "{{ params.start or '' }}",
            "end": "{{ params.end or '' }}",
            "night": "{{ '' if params.start or params.end else"
            " macros.ds_add(dag_run.run_after.strftime('%Y-%m-%d'), -1) }}",
        },
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=1),
    )

    @task(**LIGHT)
    def groups(found):
        """The groups of columns that the window has rows for."""
        return [{"window": found["window"], "group": group} for group in found["tables"]]

    @task(**LIGHT)
    def vectors(found):
        """The window, if masked pictures of it have codes."""
        if not found["embeddings"]:
            raise AirflowSkipException("no masked picture of the window has a code")
        return found["window"]

    tests = MaskerStep.partial(
        task_id="test",
        command="drift test",
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=1),
        map_index_template="{{ task.options['group'] }}",
    ).expand(options=groups(collect.output))

    embeddings = MaskerStep(
        task_id="embeddings",
        command="drift test",
        options={"window": vectors(collect.output), "group": "embeddings"},
        hardware="gpu",
        pool=GPU_POOL,
        execution_timeout=timedelta(hours=1),
    )

    verdict = MaskerStep(
        task_id="verdict",
        command="drift verdict",
        options={"window": collect.output["window"]},
        pool=STEPS_POOL,
        execution_timeout=timedelta(minutes=30),
        # Without traffic there is nothing to test, and that is a verdict too.
        trigger_rule=TriggerRule.NONE_FAILED,
    )

    @task(**LIGHT)
    def alert(judged):
        """Say what was found, if somebody has to know."""
        return told(judged)

    @task(outlets=[DRIFT_FOUND], **LIGHT)
    def publish(judged, *, outlet_events):
        """Announce drift that calls for a training."""
        if not judged["retrain"]:
            raise AirflowSkipException(f"no training: {judged['training'] or judged['verdict']}")
        known = {name: judged[name] for name in ("version", "window", "report")}
        outlet_events[DRIFT_FOUND].extra = {**known, "reason": judged["training"]}

    [tests, embeddings] >> verdict
    alert(verdict.output)
    publish(verdict.output)
