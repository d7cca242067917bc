"""A real Airflow with all its components, whose heavy steps run as pods of a test namespace."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.cluster import processes
from tests.cluster.kube import Namespace
from tests.cluster.processes import BIN, Service, wait_for

from identity_masker.settings import PROJECT, Settings
from identity_masker.stack import environment, services
from identity_masker.stack.airflow_api import AirflowApi, Run
from identity_masker.stack.home import Home

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
DAGS = ("cluster_probe", "ingest_faces", "train_masker", "deploy_masker", "promote_canary", "roll_back")
FINAL = {"success", "failed"}
SECRET = "masker-secrets"
# So that a killed scheduler and its tasks are noticed within a test's patience.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
}


class Airflow:
    """The processes of one Airflow home, and its REST API."""

    def __init__(self, config: Settings, variables: dict[str, str]) -> None:
        self.config = config
        self.home = Home(config.home)
        self.home.prepare()
        self.environment = {**environment.processes(config, self.home), **self._own(), **variables}
        self.api: AirflowApi = services.airflow(config, self.home)
        self._services = {name: self._service(name) for name in COMPONENTS}

    def _own(self) -> dict[str, str]:
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(path), "refresh_interval": 30},
            }
            for name, path in (("project", PROJECT / "dags"), ("probe", PROJECT / "tests" / "cluster" / "dags"))
        ]
        return {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles), **IMPATIENT}

    def _service(self, name: str) -> Service:
        return Service(name, [str(BIN / "airflow"), name], self.home.logs / f"{name}.log", self.environment)

    def start(self) -> None:
        services.prepare_airflow(self.home, self.environment)
        for service in self._services.values():
            service.start()
        wait_for("a healthy Airflow", self._healthy, within=300)
        wait_for("the DAGs", lambda: all(map(self.api.has_dag, DAGS)), within=180)

    def stop(self) -> None:
        processes.stop(*self._services.values())
        self.api.close()

    def kill(self, name: str) -> None:
        """SIGKILL a component with all it started."""
        self._services[name].kill()

    def restart(self, name: str) -> None:
        self._services[name].start()

    def pause(self, dag: str) -> None:
        subprocess.run([str(BIN / "airflow"), "dags", "pause", dag], env=self.environment, check=True, timeout=120)

    def _healthy(self) -> bool:
        for service in self._services.values():
            service.check()
        states = self.api.healthy()
        return all(states.get(part) == "healthy" for part in services.AIRFLOW_PARTS)

    def finished(self, run: Run, *, within: float) -> str:
        """The state in which `run` ended."""
        deadline = time.monotonic() + within
        while (state := self.api.run_state(run)) not in FINAL:
            if time.monotonic() > deadline:
                tasks = {task.name: task.state for task in self.api.tasks(run)}
                raise AssertionError(f"{run} is {state} after {within:.0f} s: {tasks}")
            time.sleep(1)
        return state

    def task_states(self, run: Run) -> dict[str, str]:
        return {task.name: task.state for task in self.api.tasks(run)}

    def tries(self, run: Run, task: str) -> int:
        return next(found.try_number for found in self.api.tasks(run) if found.name == task)

    def failures(self, run: Run) -> str:
        """The logs of the tasks of `run` that failed."""
        return "\n".join(
            self.log(run, task)[-3000:] for task, state in self.task_states(run).items() if state == "failed"
        )

    def log(self, run: Run, task: str) -> str:
        """The log files of all tries of a task, with the errors' texts, which the API keeps apart."""
        folder = self.home.airflow / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}" / f"task_id={task}"
        return "\n".join(path.read_text() for path in sorted(folder.iterdir()) if path.is_file())


def pods_config(folder: Path, image: str, maps: Sequence[str] = ("models",), **changes: Any) -> None:
    """Write a `pods.yaml` for a small cluster into `folder`: the shipped one with less of everything.

    `maps`: folders of the configuration that pods get from the ConfigMap masker-FOLDER.
    """
    shipped = yaml.safe_load((PROJECT / "include" / "config" / "pods.yaml").read_text())
    shipped |= {"image": image, "image_pull_policy": "Never", "poll_interval_s": 1, "logging_interval_s": 5}
    shipped |= {"on_finish": "keep_pod", "startup_timeout_s": 120, "grace_s": 5, **changes}
    shipped["environment"]["secrets"] = [SECRET]
    mounts = [
        {"name": name, "mount_path": f"/opt/masker/config/{name}", "config_map": f"masker-{name}"} for name in maps
    ]
    for hardware in shipped["classes"].values():
        hardware["requests"] = {"cpu": "100m", "memory": "256Mi"}
        hardware["limits"] |= {"cpu": "2", "memory": "3Gi"}
        hardware["volumes"] += mounts
        hardware["environment"] |= {"MASKER_THREADS": "2", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    tight = {**shipped["classes"]["cpu"], "requests": {"memory": "32Mi"}, "limits": {"memory": "48Mi"}}
    shipped["classes"]["tight"] = tight
    (folder / "pods.yaml").write_text(yaml.safe_dump(shipped))


def connection(namespace: Namespace, kubeconfig: Path, image: str) -> str:
    """The Airflow connection to the test namespace; `image` has the shell that the XCom sidecar needs."""
    extra = {
        "namespace": namespace.name,
        "in_cluster": False,
        "kube_config_path": str(kubeconfig),
        "xcom_sidecar_container_image": image,
    }
    return json.dumps({"conn_type": "kubernetes", "extra": extra})
