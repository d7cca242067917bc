"""docker/kubernetes as a real API server takes it, as far as it is new enough."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.kube import Namespace, namespace
from tests.cluster.processes import wait_for
from tests.cluster.serving_stage import HOST, IMAGE, SMALL, Place, api_versions, place
from tests.integration.postgres import postgres

from identity_masker.serving.board import STALE_SECONDS
from identity_masker.serving.control import Control, Deployment
from identity_masker.settings import PROJECT

FOLDER = PROJECT / "docker" / "kubernetes"
RUNS = {"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Deployment"}
OWN_CONFIG = [
    {
        "op": "add",
        "path": "/spec/template/spec/volumes/-",
        "value": {"name": "own", "configMap": {"name": "own"}},
    },
    {
        "op": "add",
        "path": "/spec/template/spec/containers/0/volumeMounts/-",
        "value": {"name": "own", "mountPath": "/opt/own"},
    },
]


@pytest.fixture
def empty() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def test_the_api_server_takes_the_base(empty: Namespace) -> None:
    drawn = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=True).stdout
    known, taken = api_versions() | {"v1"}, []
    for document in yaml.safe_load_all(drawn):
        if document["apiVersion"] in known:  # the others are compared with the client's models, in the unit tests
            document["metadata"]["namespace"] = empty.name
            empty.kubectl("apply", "--dry-run=server", "-f", "-", document=document)
            taken.append(document["kind"])
    assert taken.count("Deployment") == 2
    assert {"ConfigMap", "NetworkPolicy", "PersistentVolumeClaim", "Role", "RoleBinding", "Service"} <= set(taken)
    images = {line.split()[-1].split("=")[-1] for line in drawn.splitlines() if "localhost/identity-masker" in line}
    assert len(images) == 1, "the model servers run the image of the fleet"


def drawn_for(where: Place, folder: Path) -> list[dict[str, Any]]:
    """What the fleet of the base needs, drawn through an overlay with this cluster's image and services."""
    shutil.copytree(FOLDER, folder / "base")
    name, tag = IMAGE.rsplit(":", 1)
    overlay = {
        "resources": ["base"],
        "namespace": where.namespace.name,
        "images": [{"name": "localhost/identity-masker-serving", "newName": name, "newTag": tag}],
        "patches": [{"target": {"kind": "Deployment", "name": "masker-fleet"}, "patch": yaml.safe_dump(OWN_CONFIG)}],
        "configMapGenerator": [
            {
                "name": "masker-services",
                "behavior": "merge",
                "literals": [
                    f"MASKER_MLFLOW_URI={where.mlflow}",
                    f"MASKER_SERVING_NAMESPACE={where.namespace.name}",
                    f"MASKER_SERVING_IMAGE={IMAGE}",
                    "MASKER_CONFIG_DIR=/opt/own",
                    "OMP_WAIT_POLICY=PASSIVE",
                ],
            }
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    drawn = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True).stdout
    documents = [document for document in yaml.safe_load_all(drawn) if document["kind"] in RUNS]
    return [document for document in documents if document["metadata"]["name"] != "masker-gateway"]


def test_the_fleet_of_the_base_serves_a_version_and_survives_the_loss_of_its_pods(tmp_path: Path) -> None:
    with place(tmp_path) as where, postgres(HOST) as database:
        made = where.namespace
        made.secret("masker-control", {"MASKER_CONTROL_DB": database})
        made.config_map("own", {"serving.yaml": {**SMALL, "image": "of-the-settings"}})
        for document in drawn_for(where, tmp_path / "overlay"):
            made.kubectl("apply", "-f", "-", document=document)
        with Control(database) as control:
            control.deploy(Deployment(version="1", semver="1.0.0", replicas=1), author="test", reason="test")
            wait_for("a ready model server", lambda: states(control) == ["ready"], within=400)
            before = {pod["metadata"]["name"] for pod in fleets(where)}
            assert len(before) == 2
            made.kubectl("delete", "pods", *before, "--grace-period=0", "--force")
            wait_for("new fleets", lambda: len({*names_of(where)} - before) == 2, within=120)
            control.deploy(Deployment(version="1", semver="1.0.0", replicas=2), author="test", reason="test")
            wait_for("two model servers", lambda: states(control) == ["ready", "ready"], within=400)


def fleets(where: Place) -> list[dict[str, Any]]:
    return where.namespace.pods(**{"app.kubernetes.io/component": "fleet"})


def names_of(where: Place) -> list[str]:
    running = [pod for pod in fleets(where) if pod["status"].get("phase") == "Running"]
    return [pod["metadata"]["name"] for pod in running]


def states(control: Control) -> list[str]:
    """Of the model servers that gateways would take."""
    oldest = time.time() - STALE_SECONDS
    return [endpoint.state for endpoint in control.endpoints() if endpoint.heartbeat > oldest]
