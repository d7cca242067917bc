from __future__ import annotations

from typing import Any

import pytest
from tests.unit.kubernetes_schema import faults

from identity_masker.serving.cluster import manifests, names
from identity_masker.serving.cluster.blueprint import Blueprint
from identity_masker.serving.cluster.pods import Pods
from identity_masker.serving.control import Deployment

WANTED = Deployment(version="7", semver="1.2.0", replicas=2)


def blueprint(**changes: Any) -> Blueprint:
    document = {"image": "serving:1", "requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}, **changes}
    return Blueprint(Pods.model_validate(document), "serving:1", {"MASKER_MLFLOW_URI": "http://mlflow:5000"})


def pod(made: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = made["spec"]["template"]["spec"]
    return spec


def container(made: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(made)["containers"]
    return dict(found)


def test_pods_pass_the_restricted_pod_security_standard() -> None:
    made = manifests.deployment(blueprint(), WANTED)
    assert pod(made)["automountServiceAccountToken"] is False
    assert pod(made)["securityContext"]["runAsNonRoot"] is True
    assert pod(made)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(made)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_server_has_time_to_drain_and_to_finish_before_it_is_killed() -> None:
    made = manifests.deployment(blueprint(drain_seconds=4, grace_seconds=10), WANTED)
    words = container(made)["args"]
    given = dict(zip(words[::2], words[1::2], strict=True))
    assert (given["--version"], given["--drain-seconds"], given["--grace-seconds"]) == ("7", "4", "10")
    assert pod(made)["terminationGracePeriodSeconds"] > 4 + 10


def test_a_server_measures_its_batch_unless_one_is_written_down() -> None:
    assert "--batch" not in container(manifests.deployment(blueprint(), WANTED))["args"]
    words = container(manifests.deployment(blueprint(batch=6), WANTED))["args"]
    assert words[words.index("--batch") + 1] == "6"


def test_a_deployment_selects_its_own_pods_and_never_writes_replicas() -> None:
    made = manifests.deployment(blueprint(), WANTED)
    selector = made["spec"]["selector"]["matchLabels"]
    assert selector.items() <= made["spec"]["template"]["metadata"]["labels"].items()
    assert selector == names.labels("masker", "7")
    assert "replicas" not in made["spec"]
    assert manifests.service(blueprint(), WANTED)["spec"]["selector"] == selector


def test_the_autoscaler_never_goes_below_what_a_release_asks_for() -> None:
    made = manifests.autoscaler(blueprint(autoscaling={"max_factor": 3}), WANTED, "autoscaling/v2")
    assert made is not None
    assert (made["spec"]["minReplicas"], made["spec"]["maxReplicas"]) == (2, 6)
    assert manifests.autoscaler(blueprint(), WANTED, "autoscaling/v2") is None


def test_the_digest_changes_with_what_a_pod_is_and_not_with_how_many_there_are() -> None:
    same = manifests.digest(blueprint(), WANTED.model_copy(update={"replicas": 5}))
    assert manifests.digest(blueprint(), WANTED) == same
    for change in ({"threads": 2}, {"autoscaling": {"max_factor": 2}}, {"port": 9000}):
        assert manifests.digest(blueprint(**change), WANTED) != same


@pytest.mark.parametrize(
    ("field", "given", "place", "expected"),
    [
        ("node_selector", {"disk": "ssd"}, "nodeSelector", {"disk": "ssd"}),
        ("priority_class", "high", "priorityClassName", "high"),
        ("image_pull_secrets", ["pull"], "imagePullSecrets", [{"name": "pull"}]),
        (
            "tolerations",
            [{"key": "gpu", "operator": "Exists"}],
            "tolerations",
            [{"key": "gpu", "operator": "Exists"}],
        ),
    ],
)
def test_where_pods_go_is_what_the_file_says(field: str, given: Any, place: str, expected: Any) -> None:
    assert place not in pod(manifests.deployment(blueprint(), WANTED))
    assert pod(manifests.deployment(blueprint(**{field: given}), WANTED))[place] == expected


def test_secrets_become_variables_and_mounts_become_read_only_files() -> None:
    mounts = [{"name": "m", "mount_path": "/m", "config_map": "c"}, {"name": "n", "mount_path": "/n", "secret": "s"}]
    made = manifests.deployment(blueprint(environment={"secrets": ["keys"], "set": {"A": "1"}}, mounts=mounts), WANTED)
    assert container(made)["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert {"name": "A", "value": "1"} in container(made)["env"]
    assert pod(made)["volumes"][1:] == [
        {"name": "m", "configMap": {"name": "c"}},
        {"name": "n", "secret": {"secretName": "s"}},
    ]
    assert {"name": "m", "mountPath": "/m", "readOnly": True} in container(made)["volumeMounts"]


def test_the_newest_api_versions_know_every_field() -> None:
    made = [
        manifests.deployment(blueprint(tolerations=[{"key": "gpu", "operator": "Exists"}]), WANTED),
        manifests.service(blueprint(), WANTED),
        manifests.disruption_budget(blueprint(), WANTED, "policy/v1"),
        manifests.autoscaler(blueprint(autoscaling={"max_factor": 3}), WANTED, "autoscaling/v2"),
    ]
    assert [fault for document in made if document for fault in faults(document)] == []
