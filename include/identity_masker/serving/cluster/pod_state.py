"""What a pod's status says of the model server in it."""

from __future__ import annotations

import zlib
from typing import Any

from identity_masker.errors import BadInputError
from identity_masker.serving.cluster import names
from identity_masker.serving.cluster.manifests import SERVER
from identity_masker.serving.control import Endpoint, EndpointState

LAST_WORD = "masker: "
"""What the command writes before the reason that it ends with."""

PATIENT = {"ContainerCreating", "PodInitializing"}
OVER = {"Succeeded", "Failed"}
_LONGEST = 500
Document = dict[str, Any]


def endpoint(pod: Document, owner: str, port: int) -> Endpoint | None:
    """The model server in `pod`; None for a pod that has ended and is not coming back.

    `ready` means that the readiness probe says so. `pid` is another number for each container that ran in the pod.
    """
    status = pod.get("status", {})
    if status.get("phase") in OVER:
        return None
    container = _container(status)
    state, detail = _state(pod, container)
    name = pod["metadata"]["name"]
    # Before it has an address: a name that no resolver knows, so that no two servers have one URL.
    host = status.get("podIP") or f"{name}.invalid"
    return Endpoint(
        owner=owner,
        slot=name[-80:],
        version=pod["metadata"].get("annotations", {}).get(names.VERSION, ""),
        url=f"http://{f'[{host}]' if ':' in host else host}:{port}",
        pid=zlib.crc32(container.get("containerID", "").encode()) & 0x7FFFFFFF,
        state=state,
        detail=detail[:_LONGEST],
        restarts=container.get("restartCount", 0),
    )


def _container(status: Document) -> Document:
    found: list[Document] = status.get("containerStatuses") or []
    return next((container for container in found if container["name"] == SERVER), {})


def _state(pod: Document, container: Document) -> tuple[EndpointState, str]:
    if "deletionTimestamp" in pod["metadata"]:
        return "draining", "no longer wanted"
    conditions = {c["type"]: c for c in pod.get("status", {}).get("conditions") or []}
    if conditions.get("Ready", {}).get("status") == "True":
        return "ready", ""
    waiting = container.get("state", {}).get("waiting", {})
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if ended and ended.get("exitCode") == BadInputError.exit_code:
        return "refused", _words(ended)
    if ended and (waiting.get("reason") == "CrashLoopBackOff" or container["state"].get("terminated")):
        return "failed", _words(ended)
    if waiting and waiting.get("reason") not in PATIENT:
        return "failed", f"{waiting.get('reason')}: {waiting.get('message', '')}"
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return "starting", f"no node takes it: {scheduled.get('message', '')}"
    return "starting", f"not ready yet; before: {_words(ended)}" if ended else "not ready yet"


def _words(ended: Document) -> str:
    """Why a container ended: what the server said last, else what Kubernetes says."""
    lines = str(ended.get("message", "")).strip().splitlines()
    spoken = [line.removeprefix(LAST_WORD) for line in lines if line.startswith(LAST_WORD)]
    if spoken:
        return spoken[-1]
    return f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}"
