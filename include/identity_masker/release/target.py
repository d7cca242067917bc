"""Where the model servers of a rollout run: the protocol, and the one target that there is: `masker fleet`.

Processes (`MASKER_TARGET=local`) or pods (`kubernetes`) is the fleet's business: whoever drives a rollout writes what
is wanted to the control database and reads there what is ready, and needs no rights in a cluster.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import NamedTuple, Protocol

from identity_masker.release.rollout import Side
from identity_masker.serving.board import STALE_SECONDS
from identity_masker.serving.control import Control, Deployment


class Health(NamedTuple):
    """How many model servers a version should have and how many are proven; what a server that refuses says."""

    wanted: int
    ready: int
    refused: str = ""
    detail: str = ""


class Target(Protocol):
    """Runs model servers. Each call may be repeated: the same again changes nothing."""

    def scale(self, side: Side, replicas: int, *, author: str, reason: str) -> None:
        """Ask for so many model servers of a version, from the first one on; they come up meanwhile."""
        ...

    def health(self, version: str, since: datetime) -> Health:
        """Only a refusal after `since` counts: an earlier attempt may have left its word."""
        ...

    def remove(self, side: Side, *, author: str, reason: str) -> None:
        """Let all model servers of a version go, those in flight finishing their requests."""
        ...


class FleetTarget:
    """The model servers of the fleet, asked for and seen through the control database."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def scale(self, side: Side, replicas: int, *, author: str, reason: str) -> None:
        wanted = Deployment(version=side.version, semver=side.semver, replicas=replicas)
        self._control.deploy(wanted, author=author, reason=reason)

    def health(self, version: str, since: datetime) -> Health:
        deployment = self._control.deployment(version)
        living = [e for e in self._control.endpoints(version) if e.heartbeat > time.time() - STALE_SECONDS]
        refusals = [e.detail for e in living if e.state == "refused" and e.heartbeat >= since.timestamp()]
        return Health(
            wanted=deployment.replicas if deployment else 0,
            ready=sum(endpoint.state == "ready" for endpoint in living),
            refused=refusals[0] if refusals else "",
            detail="; ".join(f"{e.slot} {e.state}: {e.detail}" for e in living if e.state != "ready"),
        )

    def remove(self, side: Side, *, author: str, reason: str) -> None:
        if self._control.deployment(side.version) is not None:
            self.scale(side, 0, author=author, reason=reason)
