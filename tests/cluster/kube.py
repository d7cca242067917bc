"""A namespace of a real cluster with what Airflow and the pods of the steps need, and a look at its pods."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml
from kubernetes import client, config
from tests.cluster.processes import wait_for

from identity_masker.settings import PROJECT

RBAC = PROJECT / "docker" / "kubernetes" / "airflow-rbac.yaml"
ACCOUNT = "masker-airflow"


class Namespace:
    """One namespace, used as the cluster's administrator."""

    def __init__(self, name: str) -> None:
        self.name = name

    def kubectl(self, *arguments: str, document: object = None) -> str:
        command = ["kubectl", "-n", self.name, *arguments]
        given = None if document is None else json.dumps(document)
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def pods(self, **labels: str) -> list[dict[str, Any]]:
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return items

    def secret(self, name: str, values: dict[str, str]) -> None:
        self.kubectl("create", "secret", "generic", name, *(f"--from-literal={k}={v}" for k, v in values.items()))

    def config_map(self, name: str, files: dict[str, Any]) -> None:
        """A ConfigMap of YAML files by name."""
        self.text_map(name, {file: yaml.safe_dump(document) for file, document in files.items()})

    def text_map(self, name: str, content: dict[str, str]) -> None:
        """A ConfigMap of texts by file name."""
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": content}
        self.kubectl("apply", "-f", "-", document=manifest)

    def kubeconfig(self, folder: Path, rbac: Path = RBAC, account: str = ACCOUNT) -> Path:
        """A kubeconfig with the rights of `rbac` for `account` in this namespace, and no others."""
        self.kubectl("apply", "-f", str(rbac))
        wait_for("the token of the service account", lambda: bool(self._token(account)), within=30)
        admin = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        user = {"name": account, "user": {"token": self._token(account)}}
        context = {**admin["contexts"][0]["context"], "user": account}
        admin |= {"users": [user], "contexts": [{"name": "test", "context": context}], "current-context": "test"}
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(admin))
        path.chmod(0o600)
        return path

    def _token(self, account: str) -> str:
        """By the API where there is one (1.24 and later), else the token that the cluster made by itself."""
        done = subprocess.run(
            ["kubectl", "-n", self.name, "create", "token", account, "--duration=2h"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout.strip()
        template = (
            f'{{range .items}}{{if eq (index .metadata.annotations "kubernetes.io/service-account.name") "{account}"}}'
            "{{.data.token | base64decode}}{{end}}{{end}}"
        )
        fields = ["--field-selector", "type=kubernetes.io/service-account-token"]
        return self.kubectl("get", "secrets", *fields, "-o", f"go-template={template}")


def container(pod: dict[str, Any], name: str = "base") -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in pod["spec"]["containers"] if c["name"] == name)
    return found


def ended(pod: dict[str, Any], name: str = "base") -> dict[str, Any]:
    """How the container `name` ended: exitCode, reason …; empty while it runs."""
    statuses = pod["status"].get("containerStatuses", [])
    states = [status["state"] for status in statuses if status["name"] == name]
    found: dict[str, Any] = states[0].get("terminated", {}) if states else {}
    return found


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A new namespace, removed with all that is in it."""
    made = Namespace(f"masker-test-{uuid4().hex[:8]}")
    subprocess.run(["kubectl", "create", "namespace", made.name], check=True, capture_output=True)
    try:
        yield made
    finally:
        subprocess.run(["kubectl", "delete", "namespace", made.name, "--wait=false"], check=True, capture_output=True)


@contextmanager
def gpu_node() -> Iterator[None]:
    """Have the first node say that it holds one GPU, as a device plugin would, so that limits on GPUs bind."""
    node = json.loads(_kubectl("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
    _kubectl("label", "node", node, "nvidia.com/gpu.present=true", "--overwrite")
    _patch_capacity(node, {"op": "add", "value": "1"})
    try:
        yield
    finally:
        _kubectl("label", "node", node, "nvidia.com/gpu.present-")
        _patch_capacity(node, {"op": "remove"})


def _patch_capacity(node: str, change: dict[str, str]) -> None:
    config.load_kube_config()
    client.CoreV1Api().patch_node_status(node, [{"path": "/status/capacity/nvidia.com~1gpu", **change}])


def _kubectl(*arguments: str) -> str:
    return subprocess.run(["kubectl", *arguments], check=True, capture_output=True, text=True).stdout
