"""What Prometheus makes of the pods that the manifests describe, by the rules of docker/prometheus/kubernetes.yml."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from tests.unit.docker.test_kubernetes import every, workloads
from tests.unit.serving.cluster.test_manifests import WANTED, blueprint

from identity_masker.serving.cluster.manifests import deployment
from identity_masker.settings import PROJECT, Settings

ADDRESS = "10.0.0.7"
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
EXPECTED = {"masker-gateway": "gateway", "masker-fleet": "fleet", "model-server": "server"}


def templates() -> dict[str, dict[str, Any]]:
    """The pods of the base, and those that the fleet makes."""
    return workloads() | {"model-server": deployment(blueprint(), WANTED)["spec"]["template"]}


def job(name: str) -> dict[str, Any]:
    document = yaml.safe_load((PROJECT / "docker" / "prometheus" / "kubernetes.yml").read_text())
    found: dict[str, Any] = next(each for each in document["scrape_configs"] if each["job_name"] == name)
    return found


def target(template: dict[str, Any]) -> dict[str, str] | None:
    """The labels of the pod's target before a scrape, after the relabelling of Prometheus; None when it is dropped."""
    metadata = template["metadata"]
    labels = {
        "job": "pods",
        "__meta_kubernetes_pod_ip": ADDRESS,
        "__meta_kubernetes_pod_phase": "Running",
        **{f"__meta_kubernetes_pod_annotation_{plain(k)}": v for k, v in metadata.get("annotations", {}).items()},
        **{f"__meta_kubernetes_pod_label_{plain(k)}": v for k, v in metadata["labels"].items()},
    }
    for rule in job("pods")["relabel_configs"]:
        value = ";".join(labels.get(name, "") for name in rule["source_labels"])
        met = re.fullmatch(rule.get("regex", "(.*)"), value)
        action = rule.get("action", "replace")
        if action in ("keep", "drop"):
            if (met is None) is (action == "keep"):
                return None
        elif met is not None:
            labels[rule["target_label"]] = met.expand(rule.get("replacement", "$1").replace("$", "\\"))
    return labels


def plain(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_pod_is_scraped_under_the_name_of_its_process_on_a_port_that_it_opens(name: str) -> None:
    template = templates()[name]
    found = target(template)
    assert found is not None
    assert found["job"] == EXPECTED[name]
    (container,) = template["spec"]["containers"]
    ports = [f"{ADDRESS}:{port['containerPort']}" for port in container["ports"]]
    # One target for each port of a pod; after the relabelling they are the same, and Prometheus keeps one of them.
    assert found["__address__"] in ports


def test_nothing_else_runs_that_is_not_scraped() -> None:
    assert templates().keys() == EXPECTED.keys()
    assert target({"metadata": {"labels": {}, "annotations": {}}}) is None


def test_the_network_policies_let_prometheus_in() -> None:
    for template in templates().values():
        labels, found = template["metadata"]["labels"], target(template)
        assert found is not None
        port = int(found["__address__"].rpartition(":")[2])
        (policy,) = (
            each["spec"]
            for each in every("NetworkPolicy")
            if each["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        )
        assert any(
            port in [each["port"] for each in rule["ports"]] and MONITORING in rule.get("from", [MONITORING])
            for rule in policy["ingress"]
        ), policy


def test_the_fleet_serves_its_metrics_where_prometheus_asks() -> None:
    (container,) = workloads()["masker-fleet"]["spec"]["containers"]
    words = container["args"]
    assert words[words.index("--metrics-port") + 1] == str(Settings().fleet_port)
    assert words[words.index("--host") + 1] == "0.0.0.0"  # noqa: S104 - a pod has one address
