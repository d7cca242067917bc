"""docker/kubernetes as a real API server takes it, as far as it is new enough."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import yaml
from tests.cluster.kube import Namespace, namespace
from tests.cluster.serving_stage import api_versions

from identity_masker.settings import PROJECT

FOLDER = PROJECT / "docker" / "kubernetes"


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
    assert "identity-masker-serving" in drawn
    images = [line.split()[-1] for line in drawn.splitlines() if "localhost/identity-masker-serving" in line]
    assert len(set(images)) == 1, "the model servers run the image of the fleet"
