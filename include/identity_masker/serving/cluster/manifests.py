"""The Kubernetes objects of one version, as documents. No cluster is needed to make them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from identity_masker.serving.cluster import names
from identity_masker.serving.cluster.blueprint import Blueprint
from identity_masker.serving.cluster.pods import Autoscaling, Mount, Pods
from identity_masker.serving.control import Deployment

SERVER = "server"
ANY = "0.0.0.0"  # noqa: S104 # nosec B104
"""A pod has one address, and the gateway comes to it."""

TMP = "/tmp"  # noqa: S108 # nosec B108
"""An emptyDir of the pod's own."""

SPARE_SECONDS = 5
"""Time between the last request and SIGKILL."""

Document = dict[str, Any]


def deployment(blueprint: Blueprint, wanted: Deployment) -> Document:
    """Without `replicas`: those are written apart, or the autoscaler's numbers would be undone."""
    pods = blueprint.pods
    labels = names.labels(pods.instance, wanted.version)
    shown = {"app.kubernetes.io/version": names.value(wanted.semver)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(pods, wanted),
        "spec": {
            "selector": {"matchLabels": labels},
            "revisionHistoryLimit": 2,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels | shown, "annotations": _scraped(pods) | {names.VERSION: wanted.version}},
                "spec": _pod(blueprint, wanted.version, labels),
            },
        },
    }


def digest(blueprint: Blueprint, version: Deployment) -> str:
    """Another text whenever an object of the version would be another, but for its replicas."""
    one = version.model_copy(update={"replicas": 1})
    parts = [deployment(blueprint, one), service(blueprint, one), autoscaler(blueprint, one, "")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def service(blueprint: Blueprint, wanted: Deployment) -> Document:
    """One address of the version: for Prometheus and for people; the gateway goes to the pods themselves."""
    labels = names.labels(blueprint.pods.instance, wanted.version)
    port = {"name": "http", "port": blueprint.pods.port, "targetPort": "http", "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(blueprint.pods, wanted),
        "spec": {"type": "ClusterIP", "selector": labels, "ports": [port]},
    }


def disruption_budget(blueprint: Blueprint, wanted: Deployment, api: str) -> Document:
    """Draining nodes takes one pod of a version at a time. `api`: policy/v1, or v1beta1 before Kubernetes 1.21."""
    labels = names.labels(blueprint.pods.instance, wanted.version)
    return {
        "apiVersion": api,
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(blueprint.pods, wanted),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
    }


def autoscaler(blueprint: Blueprint, wanted: Deployment, api: str) -> Document | None:
    """From what is wanted upwards. `api`: autoscaling/v2, or v2beta2 before Kubernetes 1.23."""
    chosen = blueprint.pods.autoscaling
    if chosen is None:
        return None
    name = names.of_version(blueprint.pods.instance, wanted.version)
    return {
        "apiVersion": api,
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(blueprint.pods, wanted),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": wanted.replicas,
            "maxReplicas": wanted.replicas * chosen.max_factor,
            "metrics": [_cpu(chosen)],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": chosen.calm_seconds}},
        },
    }


def _cpu(chosen: Autoscaling) -> Document:
    target = {"type": "Utilization", "averageUtilization": chosen.cpu_percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _metadata(pods: Pods, wanted: Deployment) -> Document:
    return {
        "name": names.of_version(pods.instance, wanted.version),
        "labels": names.labels(pods.instance, wanted.version)
        | {"app.kubernetes.io/version": names.value(wanted.semver)},
        "annotations": {names.VERSION: wanted.version},
    }


def _scraped(pods: Pods) -> dict[str, str]:
    """What Prometheus' usual configuration for pods looks for; the path is its default."""
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(pods.port)}


def _pod(blueprint: Blueprint, version: str, labels: dict[str, str]) -> Document:
    """Passes the Pod Security Standard `restricted`."""
    pods = blueprint.pods
    spec: Document = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pods.drain_seconds + pods.grace_seconds + SPARE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": pods.user,
            "runAsGroup": pods.user,
            "fsGroup": pods.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "containers": [_container(blueprint, version)],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": pods.scratch}}, *map(_volume, pods.mounts)],
    }
    optional = {
        "nodeSelector": pods.node_selector,
        "tolerations": [toleration.model_dump(exclude_none=True) for toleration in pods.tolerations],
        "priorityClassName": pods.priority_class,
        "imagePullSecrets": [{"name": name} for name in pods.image_pull_secrets],
    }
    return spec | {field: given for field, given in optional.items() if given}


def _container(blueprint: Blueprint, version: str) -> Document:
    pods = blueprint.pods
    variables = blueprint.variables | pods.environment.set
    return {
        "name": SERVER,
        "image": blueprint.image,
        "imagePullPolicy": pods.image_pull_policy,
        "command": list(pods.command),
        "args": _arguments(pods, version),
        "env": [{"name": name, "value": variables[name]} for name in sorted(variables)],
        "envFrom": [{"secretRef": {"name": name}} for name in pods.environment.secrets],
        "ports": [{"name": "http", "containerPort": pods.port, "protocol": "TCP"}],
        "resources": {"requests": pods.requests, "limits": pods.limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # Why a server ended is what it wrote last.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": _probe("live", period=2, failures=max(1, pods.start_seconds // 2), timeout=5),
        "livenessProbe": _probe("live", period=10, failures=3, timeout=5),
        "readinessProbe": _probe("ready", period=1, failures=3, timeout=3),
        "volumeMounts": [{"name": "scratch", "mountPath": TMP}, *map(_mount, pods.mounts)],
    }


def _arguments(pods: Pods, version: str) -> list[str]:
    options = {
        "--version": version,
        "--host": ANY,
        "--port": pods.port,
        "--batch": pods.batch,
        "--capacity": pods.capacity,
        "--threads": pods.threads,
        "--drain-seconds": pods.drain_seconds,
        "--grace-seconds": pods.grace_seconds,
    }
    return [word for name, given in options.items() if given is not None for word in (name, str(given))]


def _probe(what: str, *, period: int, failures: int, timeout: int) -> Document:
    return {
        "httpGet": {"path": f"/health/{what}", "port": "http"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
    }


def _volume(mount: Mount) -> Document:
    if mount.config_map is not None:
        return {"name": mount.name, "configMap": {"name": mount.config_map}}
    return {"name": mount.name, "secret": {"secretName": mount.secret}}


def _mount(mount: Mount) -> Document:
    return {"name": mount.name, "mountPath": mount.mount_path, "readOnly": True}
