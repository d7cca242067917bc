"""What every DAG has to have, and what each is made of."""

from __future__ import annotations

import itertools
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, AssetAny, CronTriggerTimetable, TriggerRule
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from identity_masker.settings import PROJECT
from identity_masker.stack import airflow_settings
from masker_airflow import DRIFT_FOUND, FACE_DATASET, MASKER_CANDIDATE, MASKER_CHAMPION
from masker_step import MaskerStep

DAGS = PROJECT / "dags"
NAMES = [
    "check_drift",
    "deploy_masker",
    "evaluate_experiments",
    "ingest_faces",
    "keep_house",
    "mask_media",
    "promote_canary",
    "roll_back",
    "train_masker",
    "watch_drift",
]


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(str(DAGS))


@pytest.fixture(params=NAMES)
def dag(request: pytest.FixtureRequest, bag: DagBag) -> DAG:
    found: DAG = bag.dags[request.param]
    return found


def test_every_file_is_one_dag_of_its_name(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted(path.stem for path in DAGS.glob("*.py")) == NAMES


def test_dag_explains_itself(dag: DAG) -> None:
    assert dag.doc_md
    for words in ("**Starts**", "**Announces**", "**When it fails**"):
        assert words in dag.doc_md
    assert "masker" in dag.tags
    assert dag.max_active_runs == 1
    assert not dag.catchup


def test_every_parameter_is_checked_and_explained(dag: DAG) -> None:
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.description, name
        assert {"title", "type"} <= set(param.schema), name


def test_every_task_has_owner_timeout_and_retries_with_back_off(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.owner == "masker"
        assert task.execution_timeout or task.response_timeout, task.task_id
        assert task.retries
        assert task.retry_exponential_backoff == 2.0
        assert task.max_retry_delay


def test_people_are_told_of_failures_retries_late_runs_and_recoveries(dag: DAG) -> None:
    assert dag.on_success_callback.happening == "succeeded"
    (late,) = dag.deadline
    assert (late.callback.path, late.callback.kwargs) == ("masker_notifier.MaskerNotifier", {"happening": "late"})
    assert late.interval > timedelta(0)
    for task in dag.tasks:
        assert [callback.happening for callback in task.on_failure_callback] == ["failed"], task.task_id
        assert [callback.happening for callback in task.on_retry_callback] == ["retries"], task.task_id


def test_every_step_queues_in_a_pool_that_exists(dag: DAG) -> None:
    pools = airflow_settings.pools(airflow_settings.DEFAULT_PATH)
    for step in steps(dag):
        assert step.pool in pools, step.task_id
        assert (step.pool == "gpu") == (step.hardware == "gpu"), step.task_id


def test_dag_survives_serialization(dag: DAG) -> None:
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids == dag.task_ids


def test_variables_that_dags_read_are_shipped() -> None:
    shipped = {name for name in airflow_settings.environment(airflow_settings.DEFAULT_PATH) if "_VAR_" in name}
    assert shipped == {"AIRFLOW_VAR_MASKER_DATASET_CONFIG", "AIRFLOW_VAR_MASKER_MODEL"}
    source = "".join(path.read_text() for path in DAGS.glob("*.py"))
    assert all(name.removeprefix("AIRFLOW_VAR_").lower() in source for name in shipped)


def test_assets_chain_the_dags(bag: DagBag) -> None:
    announced = {name: [asset for task in bag.dags[name].tasks for asset in task.outlets] for name in NAMES}
    assert announced == {
        "check_drift": [DRIFT_FOUND],
        "ingest_faces": [FACE_DATASET],
        "mask_media": [],
        "train_masker": [MASKER_CANDIDATE],
        "deploy_masker": [MASKER_CHAMPION],
        "evaluate_experiments": [],
        "keep_house": [],
        "promote_canary": [MASKER_CHAMPION],
        "roll_back": [MASKER_CHAMPION],
        "watch_drift": [],
    }
    either = bag.dags["train_masker"].schedule
    assert isinstance(either, AssetAny)
    assert list(either.objects) == [FACE_DATASET, DRIFT_FOUND]
    assert bag.dags["deploy_masker"].schedule == [MASKER_CANDIDATE]
    assert bag.dags["promote_canary"].schedule == [MASKER_CANDIDATE]
    assert bag.dags["roll_back"].schedule is None


def steps(dag: DAG) -> list[MaskerStep]:
    return [task for task in dag.tasks if isinstance(task, MaskerStep)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ingest_faces",
            {
                "plan": "data plan",
                "ingest": "data ingest",
                "validate": "data validate",
                "describe": "features ingest",
            },
        ),
        (
            "train_masker",
            {"train": "train", "evaluate": "evaluate", "register": "register", "reference": "drift reference"},
        ),
        ("deploy_masker", {"deploy": "deploy"}),
        (
            "evaluate_experiments",
            {
                "due": "experiments due",
                "experiment.evaluate": "experiments run",
                "experiment.adjust": "experiments adjust",
                "serve": "experiments serve",
            },
        ),
        ("check_drift", {"collect": "drift collect", "embeddings": "drift test", "verdict": "drift verdict"}),
        (
            "keep_house",
            {"compact": "events compact", "collect": "features collect", "materialize": "features materialize"},
        ),
        ("mask_media", {"plan": "media plan", "track": "media track", "assemble": "media assemble"}),
        ("roll_back", {"rollback": "release rollback"}),
        ("watch_drift", {"watch": "drift watch"}),
    ],
)
def test_heavy_work_is_done_by_commands(bag: DagBag, name: str, expected: dict[str, str]) -> None:
    assert {step.task_id: step.command for step in steps(bag.dags[name])} == expected


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("keep_house", ["compact", "collect", "materialize"]),
        ("train_masker", ["plan", "train", "evaluate", "register", "reference", "publish"]),
        ("deploy_masker", ["choose", "deploy", "smoke", "publish"]),
        ("roll_back", ["rollback", "smoke", "publish"]),
    ],
)
def test_tasks_run_in_order(bag: DagBag, name: str, order: list[str]) -> None:
    assert set(bag.dags[name].task_ids) == set(order)
    for before, after in itertools.pairwise(order):
        assert after in bag.dags[name].get_task(before).downstream_task_ids


def test_a_dataset_is_announced_and_described_once_it_is_valid(bag: DagBag) -> None:
    dag = bag.dags["ingest_faces"]
    for before, after in itertools.pairwise(["plan", "parts", "read", "ingest", "validate", "publish"]):
        assert after in dag.get_task(before).downstream_task_ids
    assert dag.get_task("validate").downstream_task_ids == {"publish", "describe"}


def test_a_canary_is_checked_started_deployed_and_taken_through_its_stages(bag: DagBag) -> None:
    dag = bag.dags["promote_canary"]
    for before, after in itertools.pairwise(
        ["choose", "preflight", "shadow_replay", "admit", "start", "deploy", "stage", "finish", "smoke", "publish"]
    ):
        assert after in dag.get_task(before).downstream_task_ids, (before, after)
    for before, after in itertools.pairwise(["start", "question", "approval", "decide"]):
        assert after in dag.get_task(before).downstream_task_ids
    assert dag.get_task("decide").downstream_task_ids == set()
    stage = dag.get_task("stage")
    assert stage.is_mapped
    assert stage.max_active_tis_per_dagrun == 1


def test_media_are_masked_chunk_by_chunk(bag: DagBag) -> None:
    dag = bag.dags["mask_media"]
    for before, after in itertools.pairwise(["plan", "chunks", "mask", "assemble"]):
        assert after in dag.get_task(before).downstream_task_ids
    for before, after in itertools.pairwise(["plan", "frames", "detect", "track", "mask"]):
        assert after in dag.get_task(before).downstream_task_ids
    assert all(dag.get_task(name).is_mapped for name in ("detect", "mask"))
    assert dag.get_task("mask").partial_kwargs["hardware"] == "gpu"


@pytest.mark.parametrize(
    ("name", "param", "value"),
    [
        ("ingest_faces", "images", 0),
        ("ingest_faces", "images", "many"),
        ("ingest_faces", "config", "../../etc/passwd"),
        ("train_masker", "model", "Masker 64"),
        ("train_masker", "dataset", ""),
        ("deploy_masker", "version", "--help"),
        ("deploy_masker", "timeout", 0),
        ("evaluate_experiments", "experiments", "../secret"),
        ("evaluate_experiments", "experiments", "one,"),
        ("evaluate_experiments", "as_of", "yesterday"),
        ("check_drift", "start", "yesterday"),
        ("check_drift", "version", "--help"),
        ("mask_media", "source", ""),
        ("mask_media", "strength", 0),
        ("mask_media", "strength", 1.5),
        ("mask_media", "version", "--help"),
        ("mask_media", "faceless", "delete"),
        ("promote_canary", "policy", "../../etc/passwd"),
        ("promote_canary", "version", ""),
        ("roll_back", "version", "--help"),
    ],
)
def test_wrong_parameters_are_refused(bag: DagBag, name: str, param: str, value: Any) -> None:
    with pytest.raises(ParamValidationError, match="Failed validating"):
        bag.dags[name].params.get_param(param).resolve(value)


@pytest.mark.parametrize(
    ("name", "cron"),
    [
        ("check_drift", "30 2 * * *"),
        ("ingest_faces", "0 3 * * *"),
        ("evaluate_experiments", "30 4 * * *"),
        ("keep_house", "5 * * * *"),
    ],
)
def test_scheduled_run_does_not_start_when_the_dag_is_switched_on(bag: DagBag, name: str, cron: str) -> None:
    # With a start date, or Airflow's own default, switching on starts a run for the time before.
    assert bag.dags[name].start_date is None
    assert bag.dags[name].schedule == CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(minutes=5))


def test_each_experiment_is_a_group_of_its_own_whose_parts_do_not_wait_for_each_other(bag: DagBag) -> None:
    dag = bag.dags["evaluate_experiments"]
    assert dag.get_task("due").downstream_task_ids >= {"names"}
    group = ["experiment.adjust", "experiment.alert", "experiment.winner"]
    assert all("experiment.evaluate" in dag.get_task(name).upstream_task_ids for name in group)
    assert dag.get_task("experiment.promote").upstream_task_ids == {"experiment.evaluate", "experiment.winner"}
    assert all(list(dag.get_task(f"experiment.{name}").iter_mapped_task_groups()) for name in ("evaluate", "promote"))


def test_a_winner_starts_one_promotion_of_its_version(bag: DagBag) -> None:
    promote = bag.dags["evaluate_experiments"].get_task("experiment.promote")
    assert promote.trigger_dag_id == "promote_canary"
    assert promote.skip_when_already_exists
    assert set(promote.conf) == {"version"}


def test_drift_is_tested_group_by_group_beside_the_embeddings_and_judged_without_traffic_too(bag: DagBag) -> None:
    dag = bag.dags["check_drift"]
    tests, verdict = dag.get_task("test"), dag.get_task("verdict")
    assert tests.is_mapped
    assert tests.partial_kwargs["command"] == "drift test"
    assert dag.get_task("embeddings").hardware == "gpu"
    assert verdict.upstream_task_ids >= {"test", "embeddings"}
    assert verdict.trigger_rule == TriggerRule.NONE_FAILED
    assert verdict.downstream_task_ids == {"alert", "publish"}


HEAVY = {
    *("dvc", "feast", "great_expectations", "kubernetes", "mlflow", "pandas", "pandera", "torch"),
    *("identity_masker", "pydantic_settings"),
}


def test_parsing_imports_nothing_heavy_beyond_airflow_itself() -> None:
    code = (
        "import sys; from airflow.dag_processing.dagbag import DagBag; before = set(sys.modules);"
        f"bag = DagBag({str(DAGS)!r}); assert len(bag.dags) == {len(NAMES)}, bag.import_errors;"
        f"print(sorted({HEAVY!r} & sys.modules.keys()));"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    heavy, added = done.stdout.splitlines()[-2:]
    assert heavy == "[]"
    ours = {path.stem for path in (PROJECT / "plugins").glob("masker*")}
    others = {root for root in added.split() if not root.startswith("unusual_prefix")} - ours
    assert others <= {"airflow", "asgiref", "packaging"}
