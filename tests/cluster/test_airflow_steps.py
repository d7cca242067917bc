"""The step operator with real pods: every way a pod can end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cluster.kube import container, ended
from tests.cluster.processes import wait_for
from tests.cluster.world import World

from identity_masker.stack.airflow_api import Run


@pytest.fixture(scope="module")
def probe(world: World) -> Run:
    run = world.airflow.api.trigger("cluster_probe", {})
    world.airflow.finished(run, within=300)
    return run


def pod_of(world: World, task: str) -> dict[str, Any]:
    (pod,) = world.namespace.pods(dag_id="cluster_probe", task_id=task)
    return pod


def test_result_comes_back_through_xcom(world: World, probe: Run) -> None:
    assert world.airflow.task_states(probe)["succeeds"] == "success"
    assert set(world.airflow.api.xcom(probe, "succeeds")) == {"versions"}
    assert "error event" not in world.airflow.log(probe, "succeeds"), "the triggerer could not watch the pod"


def test_bad_input_is_not_retried_and_says_why(world: World, probe: Run) -> None:
    assert world.airflow.task_states(probe)["bad_input"] == "failed"
    assert world.airflow.tries(probe, "bad_input") == 1
    assert ended(pod_of(world, "bad_input"))["exitCode"] == 2
    assert "bad input or configuration, not retried" in world.airflow.log(probe, "bad_input")
    assert "nonsense-9.9.9" in world.airflow.log(probe, "bad_input")


def test_step_that_takes_too_much_memory_says_so(world: World, probe: Run) -> None:
    assert ended(pod_of(world, "out_of_memory"))["reason"] == "OOMKilled"
    assert "lack of memory" in world.airflow.log(probe, "out_of_memory")


def test_step_that_hangs_is_stopped_with_its_pod(world: World, probe: Run) -> None:
    assert world.airflow.task_states(probe)["hangs"] == "failed"
    assert "execution_timeout deadline" in world.airflow.log(probe, "hangs")
    gone = lambda: not world.namespace.pods(dag_id="cluster_probe", task_id="hangs")  # noqa: E731
    wait_for("the end of the pod", gone, within=60)


def test_unknown_class_of_hardware_fails_before_a_pod_is_made(world: World, probe: Run) -> None:
    assert world.airflow.tries(probe, "no_such_class") == 1
    assert "cpu, events, gpu, tight" in world.airflow.log(probe, "no_such_class")
    assert world.namespace.pods(dag_id="cluster_probe", task_id="no_such_class") == []


@pytest.mark.parametrize("name", ["base", "airflow-xcom-sidecar"])
@pytest.mark.usefixtures("probe")
def test_containers_run_without_privileges(world: World, name: str) -> None:
    context = container(pod_of(world, "succeeds"), name)["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.usefixtures("probe")
def test_pod_holds_no_token_of_the_cluster(world: World) -> None:
    pod = pod_of(world, "succeeds")
    mounts = [mount["mountPath"] for c in pod["spec"]["containers"] for mount in c["volumeMounts"]]
    assert sorted(set(mounts)) == ["/airflow/xcom", "/opt/masker/config/models", "/tmp"]  # noqa: S108


def test_log_of_the_pod_reaches_airflow(world: World, probe: Run) -> None:
    assert "nonsense-9.9.9" in world.airflow.log(probe, "bad_input")
