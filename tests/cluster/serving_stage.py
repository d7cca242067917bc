"""What model servers as pods need: models in a registry that pods reach, a namespace, and the rights of a fleet.

SERVING_IMAGE   image of docker/serving.Dockerfile, known to the cluster; default localhost/masker-serving:ci
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config
from tests.cluster.kube import Namespace, namespace
from tests.cluster.processes import Service, accepts, free_port, running, wait_for

from identity_masker.serving.cluster.api import Cluster
from identity_masker.serving.cluster.blueprint import Blueprint
from identity_masker.serving.cluster.fleet import ClusterFleet, ClusterFleetConfig
from identity_masker.serving.cluster.pods import Pods
from identity_masker.serving.control import Control
from identity_masker.settings import PROJECT

IMAGE = os.environ.get("SERVING_IMAGE", "localhost/masker-serving:ci")
HOST = os.environ.get("HOST_ADDRESS", "10.200.0.1")
ANY = "0.0.0.0"  # noqa: S104 - pods have to reach the services
RBAC = PROJECT / "docker" / "kubernetes" / "serving-rbac.yaml"
SECRET = "masker-serving"
MODELS = ("1", "2", "3", "4", "5")
TAMPERED = "6"
SMALL: dict[str, Any] = {
    "image": IMAGE,
    "image_pull_policy": "Never",
    "requests": {"cpu": "50m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
    "drain_seconds": 3,
    "grace_seconds": 5,
    "environment": {"secrets": [SECRET], "set": {"OMP_WAIT_POLICY": "PASSIVE"}},
}


@dataclass(frozen=True)
class Place:
    """A namespace with a fleet's rights in `kubeconfig`, and an MLflow that knows MODELS and TAMPERED."""

    namespace: Namespace
    kubeconfig: Path
    mlflow: str

    def blueprint(self, **changes: Any) -> Blueprint:
        pods = Pods.model_validate(SMALL | changes)
        return Blueprint(pods, pods.image, {"MASKER_MLFLOW_URI": self.mlflow})

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Afterwards nothing of what the block made is left."""
        try:
            yield
        finally:
            self.namespace.kubectl("delete", "deployments", "--all", "--wait")
            self.namespace.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")

    def cluster(self) -> Cluster:
        """As the fleet's service account."""
        return Cluster(self.namespace.name, str(self.kubeconfig))


@contextmanager
def place(home: Path) -> Iterator[Place]:
    with registry(home) as mlflow, namespace() as made:
        made.secret(SECRET, {"MASKER_MASK_KEY": "of-these-tests"})
        yield Place(made, made.kubeconfig(home, RBAC, "masker-fleet"), mlflow)


@contextmanager
def registry(home: Path) -> Iterator[str]:
    """An MLflow that pods reach, with its artifacts behind its own proxy."""
    port = free_port()
    backend = ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", f"{home}/artifacts"]
    command = [sys.executable, "-m", "mlflow", "server", "--host", ANY, "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    service = Service("mlflow", [*command, *backend], home / "mlflow.log", {**os.environ, **quiet})
    with running(service):
        wait_for("MLflow", lambda: accepts(HOST, port), within=240)
        url = f"http://{HOST}:{port}"
        fill = [
            sys.executable,
            "-m",
            "tests.cluster.served_models",
            str(home / "made"),
            *MODELS,
            "--tampered",
            TAMPERED,
        ]
        own = {"MASKER_MLFLOW_URI": url, "MASKER_HOME": str(home / "registering")}
        subprocess.run(fill, env={**os.environ, **own}, cwd=PROJECT, check=True, capture_output=True)
        yield url


@contextmanager
def fleet_thread(place: Place, control_url: str, blueprint: Blueprint) -> Iterator[None]:
    """A fleet in a thread of this process, with no more than its service account may do.

    Raises what ended it, if it ended by itself.
    """
    config, started = ClusterFleetConfig(poll_seconds=0.25), threading.Event()
    stop: list[Callable[[], object]] = []
    ended: list[BaseException] = []

    async def run(control: Control) -> None:
        one = ClusterFleet(config, blueprint, cluster, control)
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(one.stop))
        started.set()
        await one.run()

    def main() -> None:
        try:
            with Control(control_url) as control:
                asyncio.run(run(control))
        except BaseException as error:  # for the thread of the test
            ended.append(error)

    cluster = place.cluster()
    thread = threading.Thread(target=main)
    thread.start()
    try:
        assert started.wait(60)
        yield
    finally:
        with suppress(RuntimeError):  # the loop of a fleet that has ended
            stop[0]()
        thread.join(60)
        cluster.close()
        assert not thread.is_alive()
        if ended:
            raise ended[0]


def kill(place: Place, pod: str) -> None:
    """As when its node is lost: no time to end anything."""
    place.namespace.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")


def api_versions() -> set[str]:
    """The API versions that the cluster offers, as group/version."""
    config.load_kube_config()
    with client.ApiClient() as api:
        groups = client.ApisApi(api).get_api_versions().groups
    return {version.group_version for group in groups for version in group.versions}
