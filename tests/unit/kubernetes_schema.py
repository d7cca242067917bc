"""Kubernetes documents against the models of the official client: unknown fields and wrong types are found."""

from __future__ import annotations

import re
from typing import Any

from kubernetes.client import models

SCALARS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "bool": (bool,), "float": (float, int)}
MODELS = {
    ("v1", "ConfigMap"): models.V1ConfigMap,
    ("v1", "PersistentVolumeClaim"): models.V1PersistentVolumeClaim,
    ("v1", "Service"): models.V1Service,
    ("v1", "ServiceAccount"): models.V1ServiceAccount,
    ("apps/v1", "Deployment"): models.V1Deployment,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): models.V2HorizontalPodAutoscaler,
    ("networking.k8s.io/v1", "NetworkPolicy"): models.V1NetworkPolicy,
    ("policy/v1", "PodDisruptionBudget"): models.V1PodDisruptionBudget,
    ("rbac.authorization.k8s.io/v1", "Role"): models.V1Role,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): models.V1RoleBinding,
}


def faults(document: dict[str, Any]) -> list[str]:
    """What of `document` its API version does not know, by path."""
    model = MODELS[document["apiVersion"], document["kind"]]
    return list(_object(document, model, document["kind"]))


def _object(value: Any, model: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path} is not a mapping"]
    types = {name: model.openapi_types[field] for field, name in model.attribute_map.items()}
    found = [f"{path}.{name} is unknown" for name in value.keys() - types.keys()]
    for name in value.keys() & types.keys():
        found += _value(value[name], types[name], f"{path}.{name}")
    return found


def _value(value: Any, kind: str, path: str) -> list[str]:
    if match := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            return [f"{path} is not a list"]
        return [fault for n, item in enumerate(value) for fault in _value(item, match[1], f"{path}[{n}]")]
    if match := re.fullmatch(r"dict[(\[](.+?), (.+)[)\]]", kind):
        if not isinstance(value, dict):
            return [f"{path} is not a mapping"]
        return [fault for name, item in value.items() for fault in _value(item, match[2], f"{path}.{name}")]
    if kind in SCALARS:
        wrong = not isinstance(value, SCALARS[kind]) or (kind == "int" and isinstance(value, bool))
        return [f"{path} is {type(value).__name__}, not {kind}"] if wrong else []
    if kind in ("object", "datetime"):
        return []
    return _object(value, getattr(models, kind), path)
