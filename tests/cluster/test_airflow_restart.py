"""Airflow killed in mid-training: the run ends well and nothing is trained twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.airflow import pods_config
from tests.cluster.kube import ended
from tests.cluster.processes import wait_for
from tests.cluster.world import IMAGE, World

from identity_masker.registry import tracking
from identity_masker.stack.airflow_api import Run


@pytest.fixture(scope="module")
def dataset(world: World) -> str:
    """A validated version. What is trained on it is not released."""
    for dag in ("deploy_masker", "promote_canary"):
        world.airflow.pause(dag)
    run = world.airflow.api.trigger("ingest_faces", {"images": 400})
    assert world.airflow.finished(run, within=600) == "success"
    version: str = world.airflow.api.xcom(run, "ingest")["version"]
    return version


@pytest.fixture
def waiting_in_the_worker(world: World) -> Iterator[None]:
    """Not deferred: the task process holds on to the pod, and dies with the scheduler."""
    pods_config(world.config_dir, IMAGE, deferrable=False)
    yield
    pods_config(world.config_dir, IMAGE)


def training_pods(world: World, run: Run) -> list[dict[str, Any]]:
    pods = world.namespace.pods(dag_id="train_masker", task_id="train")
    key = f"train_masker/{run.run_id}"
    return [pod for pod in pods if key in pod["spec"]["containers"][0]["args"]]


def train_until_underway(world: World, dataset: str, model: str) -> Run:
    """Start the training of a slow model; returns when its pod has written a log line of training."""
    run = world.airflow.api.trigger("train_masker", {"model": model, "dataset": dataset})

    def underway() -> bool:
        pods = training_pods(world, run)
        if not pods or pods[0]["status"]["phase"] != "Running":
            return False
        return '"event": "training"' in world.namespace.kubectl("logs", pods[0]["metadata"]["name"], "-c", "base")

    wait_for("the training", underway, within=600)
    return run


def assert_trained_once(world: World, run: Run, name: str) -> None:
    (pod,) = training_pods(world, run)
    assert pod["metadata"]["name"] == name
    assert ended(pod)["exitCode"] == 0
    trained = world.airflow.api.xcom(run, "train")
    assert trained["resumed_from"] == 0
    client = tracking.client_of(world.variables["MASKER_MLFLOW_URI"])
    found = client.get_run(trained["run_id"])
    assert found.info.status == "FINISHED"
    assert world.airflow.api.xcom(run, "register")["verdict"] == "accepted"


def test_scheduler_killed_while_the_pod_trains(world: World, dataset: str) -> None:
    run = train_until_underway(world, dataset, "slow")
    name = training_pods(world, run)[0]["metadata"]["name"]
    world.airflow.kill("scheduler")
    world.airflow.kill("triggerer")
    assert ended(training_pods(world, run)[0]) == {}, "the pod has to outlive the scheduler"
    world.airflow.restart("scheduler")
    world.airflow.restart("triggerer")
    assert world.airflow.finished(run, within=900) == "success", world.airflow.failures(run)
    assert world.airflow.tries(run, "train") == 1
    assert_trained_once(world, run, name)


@pytest.mark.usefixtures("waiting_in_the_worker")
def test_next_attempt_takes_over_the_pod_of_a_killed_worker(world: World, dataset: str) -> None:
    run = train_until_underway(world, dataset, "slow-too")
    name = training_pods(world, run)[0]["metadata"]["name"]
    world.airflow.kill("scheduler")  # and with it the local executor's workers
    world.airflow.restart("scheduler")
    assert world.airflow.finished(run, within=900) == "success", world.airflow.failures(run)
    assert world.airflow.tries(run, "train") == 2
    assert_trained_once(world, run, name)
