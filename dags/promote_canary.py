"""
### Promote a canary

Runs a registered version and the champion on the same held-out pictures: one that is worse there is refused, and no
user meets it. Then releases it beside the champion: a growing share of the traffic, judged after each interval, until
it is the champion itself or, at the first evidence that it is worse, taken back. Whoever stops this run does no harm:
the canary's share has a lease, and the gateway returns to the champion when it runs out.

**Starts** when `masker_candidate` is announced, by hand with a version and a policy of include/config/release, or
through the API. Without a champion there is nothing to compare with, and `deploy_masker` deploys the first version.
**Announces** the asset `masker_champion` with the version that now serves, if it was promoted.
**When it fails**: clear the failed task; the rollout goes on where it is. `masker release status` shows it, and
`roll_back` or `masker release rollback` ends it.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from masker_airflow import (
    CANDIDATE_PARAM,
    DEFAULT_ARGS,
    GPU_POOL,
    LIGHT,
    MASKER_CANDIDATE,
    MASKER_CHAMPION,
    STEPS_POOL,
    TAGS,
    last_event,
    watched,
)
from masker_rollout import RolloutStage, champion
from masker_smoke import masks_a_picture
from masker_step import MaskerStep

PARAMS = {
    "version": CANDIDATE_PARAM,
    "policy": Param(
        "canary",
        type="string",
        pattern="^[a-z0-9][a-z0-9._-]{0,63}$",
        title="Policy",
        description="Name of a file in include/config/release: how traffic moves, and what is too bad.",
    ),
}
# A stage may soak for hours, and a person may be asked over a weekend.
PATIENCE = timedelta(days=7)

with DAG(
    dag_id="promote_canary",
    schedule=[MASKER_CANDIDATE],
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "serving", "release"],
    doc_md=__doc__,
    **watched(timedelta(days=3)),
) as dag:

    @task(**LIGHT)
    def choose(*, params, triggering_asset_events):
        """The version to release: the candidate that started this run, else the one that the person named."""
        event = last_event(triggering_asset_events, MASKER_CANDIDATE)
        if event is None:
            return params["version"]
        if champion("masker_gateway") in (None, event["version"]):
            raise AirflowSkipException(f"nothing serves beside {event['version']}: deploy_masker deploys the first one")
        return event["version"]

    preflight = MaskerStep(
        task_id="preflight",
        command="release preflight",
        options={"version": choose()},
        pool=STEPS_POOL,
    )

    shadow_replay = MaskerStep(
        task_id="shadow_replay",
        command="release replay-pairs",
        options={"version": preflight.output["version"], "policy": "{{ params.policy }}"},
        hardware="gpu",
        pool=GPU_POOL,
    )

    @task(**LIGHT)
    def admit(replayed):
        """Let no user meet a version that is worse on the same pictures."""
        if not replayed["allowed"]:
            raise AirflowFailException(f"{replayed['semver']} is not released: {'; '.join(replayed['reasons'])}")
        return replayed["verdict"]

    start = MaskerStep(
        task_id="start",
        command="release start",
        options={
            "version": preflight.output["version"],
            "policy": "{{ params.policy }}",
            "key": "{{ dag_run.dag_id }}/{{ dag_run.run_id }}",
        },
        pool=STEPS_POOL,
    )

    @task(**LIGHT)
    def question(started):
        """What a person is to decide, if the policy asks one before any traffic."""
        if started["approval"] != "before_traffic":
            raise AirflowSkipException("the policy asks nobody before traffic")
        return f"Release {started['semver']} beside {started['champion']}?"

    approval = HITLOperator(
        task_id="approval",
        subject="{{ ti.xcom_pull(task_ids='question') }}",
        options=["Approve", "Reject"],
        response_timeout=PATIENCE,
        execution_timeout=None,
    )

    decide = MaskerStep(
        task_id="decide",
        command="release {{ 'approve --question before_traffic' if "
        "ti.xcom_pull(task_ids='approval')['chosen_options'] == ['Approve'] else 'rollback' }}",
        pool=STEPS_POOL,
    )

    deploy = RolloutStage(task_id="deploy", stage=-1, execution_timeout=PATIENCE)

    @task(**LIGHT)
    def stages(started):
        """The numbers of the rollout's stages; the graph shows a task for each."""
        return list(range(len(started["stages"])))

    # One after the other, in whatever order Airflow takes them: each goes on until its own stage is over.
    stage = RolloutStage.partial(
        task_id="stage",
        map_index_template="{{ ti.xcom_pull(task_ids='start')['stages'][task.stage] }}",
        max_active_tis_per_dagrun=1,
        execution_timeout=PATIENCE,
    ).expand(stage=stages(start.output))

    finish = RolloutStage(task_id="finish", execution_timeout=PATIENCE)

    @task(**LIGHT)
    def smoke(ended):
        """Send a picture through the gateway until the promoted version masks it."""
        if ended["outcome"] != "promoted":
            raise AirflowSkipException(f"{ended['semver']} was not promoted: {ended['why']}")
        return masks_a_picture(connection="masker_gateway", version=ended["semver"])

    @task(outlets=[MASKER_CHAMPION], **LIGHT)
    def publish(ended, *, outlet_events):
        """Announce the version that now serves."""
        outlet_events[MASKER_CHAMPION].extra = {name: ended[name] for name in ("version", "semver", "rollout")}

    admit(shadow_replay.output) >> start
    start >> question(start.output) >> approval >> decide
    start >> deploy >> stage >> finish
    smoke(finish.output) >> publish(finish.output)
