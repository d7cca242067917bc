from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.kubernetes_schema import faults
from tests.unit.serving.cluster.test_manifests import WANTED, blueprint

from identity_masker.serving.cluster import names, pods
from identity_masker.serving.cluster.manifests import deployment
from identity_masker.settings import PROJECT, Settings

FOLDER = PROJECT / "docker" / "kubernetes"
FILES = sorted(file for file in FOLDER.glob("*.yaml") if file.name != "kustomization.yaml")


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def every(kind: str) -> list[dict[str, Any]]:
    return [document for file in FILES for document in documents(file) if document["kind"] == kind]


def workloads() -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document["spec"]["template"] for document in every("Deployment")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_document_is_one_that_its_api_knows(file: Path) -> None:
    assert [fault for document in documents(file) for fault in faults(document)] == []


def test_a_wrong_document_is_found() -> None:
    (budget, *_) = every("PodDisruptionBudget")
    assert faults(budget | {"spec": {"maxUnavailble": 1}}) == ["PodDisruptionBudget.spec.maxUnavailble is unknown"]


def test_every_file_that_serves_is_in_the_base() -> None:
    base = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(base["resources"]) == {file.name for file in FILES} - {"airflow-rbac.yaml"}


@pytest.mark.parametrize("name", ["masker-fleet", "masker-gateway"])
def test_what_runs_passes_the_restricted_pod_security_standard(name: str) -> None:
    spec = workloads()[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_only_the_fleet_has_a_token_of_the_cluster() -> None:
    tokens = {name: t["spec"].get("automountServiceAccountToken", True) for name, t in workloads().items()}
    assert tokens == {"masker-fleet": True, "masker-gateway": False}


def test_policies_and_budgets_select_the_pods_that_are_made() -> None:
    made = [template["metadata"]["labels"] for template in workloads().values()]
    made.append(deployment(blueprint(), WANTED)["spec"]["template"]["metadata"]["labels"])
    selected = [document["spec"]["podSelector"]["matchLabels"] for document in every("NetworkPolicy")]
    selected += [document["spec"]["selector"]["matchLabels"] for document in every("PodDisruptionBudget")]
    for labels in selected:
        assert any(labels.items() <= pod.items() for pod in made), labels
    for pod in made:
        assert any(labels.items() <= pod.items() for labels in selected), pod


def test_the_ports_that_policies_open_are_the_ones_that_are_listened_on() -> None:
    shipped = pods.read(PROJECT / "include" / "config")
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in every("NetworkPolicy")}
    (incoming,) = policies["masker-model-server"]["ingress"]
    assert [port["port"] for port in incoming["ports"]] == [shipped.port]
    public, operations = policies["masker-gateway"]["ingress"]
    assert [port["port"] for port in public["ports"]] == [Settings().gateway_port]
    (gateway,) = (made for made in every("Deployment") if made["metadata"]["name"] == "masker-gateway")
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    admin = container["args"][container["args"].index("--admin-port") + 1]
    assert ("from" in public, "from" in operations) == (False, True)
    assert [str(port["port"]) for port in operations["ports"]] == [admin]
    scraped = gateway["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"]
    assert scraped == admin


def test_the_role_names_no_kind_and_no_verb_with_a_star() -> None:
    for role in every("Role"):
        words = [w for rule in role["rules"] for w in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])]
        assert "*" not in words
        assert "secrets" not in words
    assert names.MANAGER == "masker-fleet"
