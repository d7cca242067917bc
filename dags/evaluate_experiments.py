"""
### Evaluate experiments

For each running experiment: collect exposures and outcomes from the event store, examine the health of the data,
analyse, decide (ship, stop for harm or futility, go on) and write the report. Weights of a bandit and the end of an
experiment go to the control database, where the gateway reads them; the winner goes to `promote_canary`. At the end
every variant of a running experiment has model servers, and those of experiments that ended are let go.

**Starts** every day at 04:30 UTC, by hand with names and a date, or through the API.
**Announces** nothing; a winner with a model version triggers `promote_canary` with that version.
**When it fails**: `evaluate` says what is wrong with the events or the design; a day with late or missing hours does
not fail, its decision is `incomplete`: run again with its date when the events are there. `adjust` fails when somebody
changed the weights after the evaluation: clear `evaluate`. `serve` names the variant whose model cannot be served; its
experiment waits, the others run.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from masker_airflow import DEFAULT_ARGS, LIGHT, STEPS_POOL, TAGS, watched
from masker_step import MaskerStep
from masker_verdict import announced

PARAMS = {
    "experiments": Param(
        "",
        type="string",
        pattern="^([a-z][a-z0-9-]*(, ?[a-z][a-z0-9-]*)*)?$",
        title="Experiments",
        description="Names of files in include/config/experiments, separated by commas; empty for all that run.",
    ),
    "as_of": Param(
        None,
        type=["null", "string"],
        format="date",
        title="As of",
        description="Evaluate the events before this day (UTC); empty for the day of the run.",
    ),
}

with DAG(
    dag_id="evaluate_experiments",
    schedule=CronTriggerTimetable("30 4 * * *", timezone="UTC", run_immediately=timedelta(minutes=5)),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "experiments"],
    doc_md=__doc__,
    **watched(timedelta(hours=3)),
) as dag:
    due = MaskerStep(
        task_id="due",
        command="experiments due",
        options={
            "names": "{{ params.experiments }}",
            "as-of": "{{ params.as_of or dag_run.run_after.strftime('%Y-%m-%d') }}",
        },
        pool=STEPS_POOL,
        execution_timeout=timedelta(minutes=10),
    )

    @task(**LIGHT)
    def names(found):
        """The names alone: a group is mapped over the result of a task, not over a part of it."""
        return found["experiments"]

    @task_group(group_id="experiment")
    def each(name):
        """One experiment, from its events to what follows from them."""
        as_of = {"as-of": due.output["as_of"]}

        evaluate = MaskerStep(
            task_id="evaluate",
            command="experiments run",
            operands=[name],
            options=as_of,
            pool=STEPS_POOL,
            execution_timeout=timedelta(hours=1),
            map_index_template="{{ task.operands[0] }}",
        )

        adjust = MaskerStep(
            task_id="adjust",
            command="experiments adjust",
            operands=[name],
            options=as_of,
            pool=STEPS_POOL,
            execution_timeout=timedelta(minutes=10),
            map_index_template="{{ task.operands[0] }}",
        )

        @task(map_index_template="{{ headline }}", **LIGHT)
        def alert(evaluated):
            """Say what was decided, and whether somebody has to know."""
            return announced(evaluated)

        @task(**LIGHT)
        def winner(evaluated):
            """The model version that won, if there is one to hand over."""
            if evaluated["version"] is None:
                raise AirflowSkipException(evaluated["version_reason"] or f"the decision is {evaluated['decision']}")
            return evaluated["version"]

        TriggerDagRunOperator(
            task_id="promote",
            trigger_dag_id="promote_canary",
            # The same evaluation again starts no second promotion.
            trigger_run_id=evaluate.output["promotion"],
            conf={"version": winner(evaluate.output)},
            skip_when_already_exists=True,
        )

        evaluate >> adjust
        alert(evaluate.output)

    evaluated = each.expand(name=names(due.output))

    serve = MaskerStep(
        task_id="serve",
        command="experiments serve",
        pool=STEPS_POOL,
        # What ended is let go, and what begins is served, even when one evaluation failed.
        trigger_rule="all_done",
        execution_timeout=timedelta(minutes=15),
    )
    evaluated >> serve
