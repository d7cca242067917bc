"""The pod that a step becomes, built without a cluster."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes.client import ApiClient

from identity_masker import artifacts
from identity_masker.settings import PROJECT, settings
from masker_floors.pod import PodFloor
from masker_step import KUBERNETES_CONNECTION, MaskerStep

CONNECTION = {
    "conn_type": "kubernetes",
    "extra": {"namespace": "masker", "xcom_sidecar_container_image": "registry/busybox:1"},
}
RUN = "manual__2026-11-23T04:00:00+00:00"
UNPRIVILEGED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{KUBERNETES_CONNECTION.upper()}", json.dumps(CONNECTION))
    monkeypatch.setenv("MASKER_STORE_URI", f"file://{home}/store")
    monkeypatch.setenv("MASKER_MLFLOW_URI", "http://mlflow:5000")


def context(try_number: int = 1) -> Any:
    ti = SimpleNamespace(dag_id="train_masker", run_id=RUN, task_id="train", map_index=-1, try_number=try_number)
    return {"ti": ti, "run_id": RUN, "dag": SimpleNamespace()}


def floor(hardware: Any = "gpu", task_id: str = "train") -> PodFloor:
    step = MaskerStep(
        task_id=task_id,
        command="train",
        options={"model": "masker-64", "dataset": "3"},
        hardware=hardware,
        execution_timeout=timedelta(hours=1),
    )
    return PodFloor.of(step, KUBERNETES_CONNECTION)


def manifest(pod: PodFloor) -> dict[str, Any]:
    """The pod as it is sent to the cluster."""
    built = pod.build_pod_request_obj(context(), dry_run=True)
    document: dict[str, Any] = ApiClient().sanitize_for_serialization(built)
    return document


def container(document: dict[str, Any], name: str = "base") -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in document["spec"]["containers"] if c["name"] == name)
    return found


def test_pod_runs_the_same_command_as_a_process() -> None:
    assert container(manifest(floor()))["args"] == ["train", "--model", "masker-64", "--dataset", "3"]
    assert container(manifest(floor()))["command"] == [], "the entry point of the image is masker"


def test_gpu_step_gets_a_gpu_on_a_gpu_node() -> None:
    document = manifest(floor("gpu"))
    assert container(document)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert document["spec"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert document["spec"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_cpu_step_can_run_anywhere_and_takes_no_gpu() -> None:
    document = manifest(floor("cpu"))
    assert "nvidia.com/gpu" not in container(document)["resources"]["limits"]
    assert not document["spec"].get("nodeSelector")
    assert not document["spec"].get("tolerations")


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
@pytest.mark.parametrize("name", ["base", "airflow-xcom-sidecar"])
def test_no_container_has_privileges(hardware: str, name: str) -> None:
    assert container(manifest(floor(hardware)), name)["securityContext"] == UNPRIVILEGED


def test_pod_is_non_root_and_knows_no_cluster_token() -> None:
    spec = manifest(floor())["spec"]
    assert spec["securityContext"] == {
        "fsGroup": 10001,
        "runAsGroup": 10001,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["automountServiceAccountToken"] is False


def test_step_can_write_where_its_image_says_home_is() -> None:
    mounts = {m["mountPath"] for m in container(manifest(floor("cpu")))["volumeMounts"]}
    assert mounts == {"/airflow/xcom", "/tmp"}  # noqa: S108


def test_sidecar_uses_the_image_of_the_connection() -> None:
    assert container(manifest(floor()), "airflow-xcom-sidecar")["image"] == "registry/busybox:1"


def test_pod_knows_its_task_where_to_write_and_nothing_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("MASKER_CONTROL_DB", "postgresql://user:password@host/db")
    pod = floor()
    monkeypatch.setattr(pod, "execute_async", lambda _context: None)
    with pytest.raises(AirflowException, match="without a result"):
        pod.run(context(try_number=2))
    environment = {v["name"]: v["value"] for v in container(manifest(pod))["env"]}
    assert environment == {
        "MASKER_STORE_URI": settings().store,
        "MASKER_MLFLOW_URI": "http://mlflow:5000",
        "MASKER_THREADS": "8",
        "MASKER_RESULT": "/airflow/xcom/return.json",
        "MASKER_STEP_DAG_ID": "train_masker",
        "MASKER_STEP_RUN_ID": RUN,
        "MASKER_STEP_TASK_ID": "train",
        "MASKER_STEP_MAP_INDEX": "-1",
        "MASKER_STEP_TRY_NUMBER": "2",
        "MASKER_CORRELATION_ID": RUN,
    }


def test_secrets_are_referred_to_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = yaml.safe_load((PROJECT / "include" / "config" / "pods.yaml").read_text())
    document["environment"]["secrets"] = ["masker-store"]
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("MASKER_CONFIG_DIR", str(tmp_path))
    settings.cache_clear()
    assert container(manifest(floor()))["envFrom"] == [{"secretRef": {"name": "masker-store"}}]


def test_pod_stops_by_itself_only_after_its_task_had_the_chance() -> None:
    assert manifest(floor())["spec"]["activeDeadlineSeconds"] == 3600 + 300
    assert floor().execution_timeout == timedelta(hours=1)


def test_pod_is_found_again_by_labels_without_the_try() -> None:
    selector = floor()._build_find_pod_label_selector(context())
    assert "dag_id=train_masker" in selector
    assert "run_id=manual__2026-11-23T0400000000-" in selector
    assert "try_number" not in selector


def test_result_is_expected_and_the_last_log_lines_explain_a_failure() -> None:
    pod = floor()
    assert pod.do_xcom_push
    assert container(manifest(pod))["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize("task_id", ["train", "train_masker.Attack-2", "x" * 120])
def test_every_task_id_makes_a_valid_pod_name(task_id: str) -> None:
    name = manifest(floor(task_id=task_id))["metadata"]["name"]
    assert name.startswith("masker-")
    assert len(name) <= 63
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_missing_store_fails_without_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKER_STORE_URI")
    with pytest.raises(AirflowFailException, match="lacks MASKER_STORE_URI"):
        floor()


def ended(exit_code: int | None, document: Any, *, error: Exception | None = None, because: str = "") -> PodFloor:
    """A pod as it is when its operator has seen it end."""
    pod = floor()

    def resumed(_context: Any, _event: Any) -> None:
        pod.exit_code, pod.handed_over, pod.ended_because = exit_code, document, because
        if error:
            raise error

    vars(pod)["trigger_reentry"] = resumed
    return pod


def resume(pod: PodFloor, **event: Any) -> dict[str, Any]:
    return pod.resume(context(try_number=2), event)


def failed(reason: str, code: int = 1) -> dict[str, Any]:
    return {"status": "failed", "reason": reason, "exit_code": code}


def store(document: dict[str, Any], try_number: int) -> None:
    uri = artifacts.join(settings().store, "results/train_masker", RUN, f"train/-1/{try_number}.json")
    artifacts.write_json(uri, document)


POD_FAILED = AirflowException("Pod masker-train-x returned a failure.")


def test_result_comes_through_xcom() -> None:
    assert resume(ended(0, {"run_id": "r1"})) == {"run_id": "r1"}


def test_exit_code_2_is_never_retried() -> None:
    with pytest.raises(AirflowFailException, match="not retried: no such dataset"):
        resume(ended(2, failed("no such dataset", 2), error=POD_FAILED))


@pytest.mark.parametrize(
    ("code", "because", "words"),
    [
        (75, "Error", "temporary failure.*the store is full"),
        (1, "Error", r"exit code 1\): the store is full"),
        (137, "OOMKilled", "lack of memory"),
    ],
)
def test_other_exit_codes_are_retried(code: int, because: str, words: str) -> None:
    with pytest.raises(AirflowException, match=words) as caught:
        resume(ended(code, failed("the store is full", code), error=POD_FAILED, because=because))
    assert not isinstance(caught.value, AirflowFailException)


def test_pod_that_died_without_a_word_is_explained_by_kubernetes() -> None:
    with pytest.raises(AirflowException, match="OOMKilled: Pod masker-train-x"):
        resume(ended(137, None, error=POD_FAILED, because="OOMKilled"))


def test_lost_xcom_is_replaced_by_the_stored_copy_of_the_pods_own_try() -> None:
    store({"run_id": "r1"}, try_number=1)
    assert resume(ended(0, None), masker_try_number=1) == {"run_id": "r1"}
    with pytest.raises(AirflowException, match="without a result"):
        resume(ended(0, None), masker_try_number=2)


def test_success_survives_an_xcom_that_cannot_be_read() -> None:
    store({"run_id": "r1"}, try_number=2)
    assert resume(ended(0, None, error=AirflowException("airflow-xcom-sidecar is not running"))) == {"run_id": "r1"}


def test_pod_that_vanished_is_judged_by_what_it_stored() -> None:
    store(failed("no such dataset", 2), try_number=2)
    with pytest.raises(AirflowFailException, match="no such dataset"):
        resume(ended(None, None, error=AirflowException("Pod not found")))


def test_pod_that_vanished_without_a_word_keeps_its_error() -> None:
    gone = AirflowException("Pod not found")
    with pytest.raises(AirflowException) as caught:
        resume(ended(None, None, error=gone))
    assert caught.value is gone


def test_stored_failure_is_no_result() -> None:
    store(failed("first trouble"), try_number=2)
    with pytest.raises(AirflowException, match="without a result"):
        resume(ended(0, None))


@pytest.mark.parametrize(
    ("extra", "sent"), [({}, {"clusters": []}), ({"kube_config_path": "/k"}, None), ({"in_cluster": True}, None)]
)
def test_triggerer_gets_the_workers_kubeconfig_only_when_the_connection_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extra: dict[str, Any], sent: dict[str, Any] | None
) -> None:
    (tmp_path / "kubeconfig").write_text("clusters: []")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    connection = json.dumps({"conn_type": "kubernetes", "extra": extra})
    monkeypatch.setenv(f"AIRFLOW_CONN_{KUBERNETES_CONNECTION.upper()}", connection)
    pod = floor()
    pod.convert_config_file_to_dict()
    assert pod._config_dict == sent


def test_kill_before_there_is_a_pod_does_nothing() -> None:
    floor().kill()
