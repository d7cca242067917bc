"""Makes the cluster have what the control database asks for, and no more of what nobody wants."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from identity_masker.errors import BadInputError
from identity_masker.serving.cluster import manifests, names
from identity_masker.serving.cluster.api import Cluster
from identity_masker.serving.cluster.blueprint import Blueprint
from identity_masker.serving.control import Control, Deployment
from identity_masker.telemetry import logs

APPS = "apps/v1"
RESYNC_SECONDS = 60.0
"""What somebody changed by hand in an object of ours is undone after so long."""

RULE_SECONDS = 600.0
"""A fleet that disagrees with one that was started later waits so long before it has its way."""

log = logs.logger(__name__)
Document = dict[str, Any]


class Objects:
    """The Deployments of all versions, each with its Service, disruption budget and autoscaler.

    Every call looks first what there is: two fleets at once, or one that died half-way, do no harm.
    """

    def __init__(self, blueprint: Blueprint, cluster: Cluster, control: Control) -> None:
        self._blueprint, self._cluster, self._control = blueprint, cluster, control
        self._started = time.time()
        self._synced: dict[str, float] = {}
        self._strangers: set[str] = set()

    def reconcile(self, deployments: Sequence[Deployment]) -> dict[str, str]:
        """Returns for each of the versions whose objects the cluster does not take, or makes no pods of, the reason.

        `deployments`: all that are wanted. Raises `TemporaryError` when the database or the cluster does not answer.
        """
        wanted = {deployment.version: deployment for deployment in deployments}
        instance = self._blueprint.pods.instance
        found = {_version(d): d for d in self._cluster.find("Deployment", APPS, names.labels_of_all(instance))}
        troubles = {version: why for version in wanted if (why := _trouble(found.get(version)))}
        for deployment in wanted.values():
            try:
                self._make(deployment, found.get(deployment.version))
            except BadInputError as error:  # the others are to be made all the same
                troubles[deployment.version] = str(error)
        for version in found.keys() - wanted.keys():
            self._let_go(version, found[version])
        return troubles

    def _make(self, wanted: Deployment, found: Document | None) -> None:
        digest = manifests.digest(self._blueprint, wanted)
        ruled = found is not None and self._ruled_by_another(found, digest)
        if found is not None and self._is_settled(wanted, found, digest, ruled):
            return
        if found is None or not ruled:
            found = self._cluster.apply(manifests.deployment(self._blueprint, wanted))
        self._note(wanted, found, "" if ruled else digest)
        for part in self._parts(wanted):
            self._cluster.apply(_owned(part, found))
        self._synced[wanted.version] = time.monotonic()

    def _note(self, wanted: Deployment, made: Document, digest: str) -> None:
        """Write what server-side apply leaves out: replicas, and the blueprint that the Deployment was made by."""
        change: Document = {"metadata": {"annotations": {}}}
        annotations = change["metadata"]["annotations"]
        if digest and _annotation(made, names.APPLIED) != digest:
            annotations |= {names.APPLIED: digest, names.APPLIED_AT: f"{time.time():.3f}"}
        if _replicas_differ(self._blueprint, wanted, made):
            annotations[names.WANTED] = str(wanted.replicas)
            change["spec"] = {"replicas": wanted.replicas}
        if annotations:
            self._cluster.patch("Deployment", APPS, made["metadata"]["name"], change)
            log.info("objects_applied", version=wanted.version, replicas=wanted.replicas, digest=digest)

    def _ruled_by_another(self, found: Document, digest: str) -> bool:
        """Whether a fleet with another configuration made this after the start of this one.

        Both run for a while when one replaces the other.
        """
        if _annotation(found, names.APPLIED) in ("", digest):
            return False
        applied_at = float(_annotation(found, names.APPLIED_AT) or 0.0)
        return self._started < applied_at and time.time() - applied_at < RULE_SECONDS

    def _is_settled(self, wanted: Deployment, found: Document, digest: str, ruled: bool) -> bool:
        fresh = time.monotonic() - self._synced.get(wanted.version, float("-inf")) < RESYNC_SECONDS
        same = ruled or _annotation(found, names.APPLIED) == digest
        return fresh and same and not _replicas_differ(self._blueprint, wanted, found)

    def _parts(self, wanted: Deployment) -> list[Document]:
        blueprint, cluster = self._blueprint, self._cluster
        parts = [
            manifests.service(blueprint, wanted),
            manifests.disruption_budget(blueprint, wanted, cluster.budget_api),
        ]
        if blueprint.pods.autoscaling is None:
            name = names.of_version(blueprint.pods.instance, wanted.version)
            cluster.delete("HorizontalPodAutoscaler", cluster.autoscaler_api, name)  # of an earlier serving.yaml
        elif (autoscaler := manifests.autoscaler(blueprint, wanted, cluster.autoscaler_api)) is not None:
            parts.append(autoscaler)
        return parts

    def _let_go(self, version: str, found: Document) -> None:
        """Delete what somebody said is not wanted. What the database has never heard of may be another's."""
        self._synced.pop(version, None)
        if self._control.deployment(version) is None:
            if version not in self._strangers:
                self._strangers.add(version)
                log.warning("unknown_version_runs", version=version, name=found["metadata"]["name"])
            return
        if "deletionTimestamp" not in found["metadata"]:
            self._cluster.delete("Deployment", APPS, found["metadata"]["name"])
            log.info("objects_deleted", version=version)


def _replicas_differ(blueprint: Blueprint, wanted: Deployment, found: Document) -> bool:
    """Whether the replicas have to be written: an autoscaler may have more than was asked for, but not fewer."""
    replicas = found["spec"].get("replicas", 1)
    if blueprint.pods.autoscaling is None:
        return bool(replicas != wanted.replicas)
    return bool(replicas < wanted.replicas) or _annotation(found, names.WANTED) != str(wanted.replicas)


def _owned(part: Document, owner: Document) -> Document:
    """`part` goes when `owner` goes: the cluster's own garbage collection sees to it."""
    metadata = owner["metadata"]
    reference = {"apiVersion": APPS, "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}
    return part | {"metadata": part["metadata"] | {"ownerReferences": [reference]}}


def _version(document: Document) -> str:
    return _annotation(document, names.VERSION)


def _annotation(document: Document, name: str) -> str:
    return str(document["metadata"].get("annotations", {}).get(name, ""))


def _trouble(found: Document | None) -> str:
    """Why the cluster makes no pods: a quota, an admission rule."""
    conditions = (found or {}).get("status", {}).get("conditions") or []
    failing = [c for c in conditions if c["type"] == "ReplicaFailure" and c["status"] == "True"]
    return str(failing[0].get("message", failing[0].get("reason"))) if failing else ""
