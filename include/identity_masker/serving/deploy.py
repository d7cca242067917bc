"""A version to all users: wanted, started, proven, switched, named, and the one before it let go."""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.serving.board import STALE_SECONDS
from identity_masker.serving.control import Control, Deployment, Endpoint, Revision
from identity_masker.serving.holds import Holds
from identity_masker.serving.model import fetch
from identity_masker.serving.routing import only
from identity_masker.telemetry import logs

POLL_SECONDS = 0.2
SETTLE_SECONDS = 1.0
"""Every gateway has read the new routing table by then; until it has, it may need the old servers."""

HISTORY = 1000
log = logs.logger(__name__)


class Candidate(NamedTuple):
    """A registered model version, as far as deploying goes."""

    version: str
    semver: str
    rejected: bool = False


class Registry(Protocol):
    """What deploying needs of the model registry."""

    def resolve(self, reference: str) -> Candidate:
        """Raises `NotFoundError` for a reference that names nothing."""
        ...

    def name_champion(self, version: str, previous: str | None) -> None:
        """Point the aliases at the version that serves and the one before it. The same again changes nothing."""
        ...


class ModelRegistry:
    """The registry of the settings: MLflow."""

    def resolve(self, reference: str) -> Candidate:
        """Also fetches the files: wrong ones are found before anything starts, and a server on this machine
        finds them here, without the registry.
        """
        from identity_masker.registry import models

        version = models.resolve(reference)
        accepted = version.verdict == "accepted"
        if accepted:
            fetch(version.version)
        return Candidate(version.version, version.semver, rejected=not accepted)

    def name_champion(self, version: str, previous: str | None) -> None:
        from identity_masker.registry import models

        models.set_champion(version, previous)


class DeployOptions(BaseModel):
    """How to deploy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str = Field(min_length=1)
    timeout: float = Field(default=120.0, gt=0, description="Seconds for a server of the version to become ready.")
    replicas: int = Field(default=1, ge=1, le=64)
    author: str = Field(min_length=1, max_length=200)


class Deployed(BaseModel):
    """What serves now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    semver: str
    revision: int
    endpoints: list[str]
    previous: str | None


def deploy(options: DeployOptions, registry: Registry, control: Control) -> Deployed:
    """Make `options.reference` the only version that serves.

    Each step looks first whether it is done, so a second call, or one after a crash at any point, ends in the
    same state. Until the switch, users notice nothing; when the version does not come up, it is taken back.

    Raises `NotFoundError` for an unknown reference, `BadInputError` for a rejected version or one whose server
    refuses to start, `TemporaryError` when none is ready in time, `ConflictError` when somebody else changes the
    routing table meanwhile.
    """
    candidate = registry.resolve(options.reference)
    if candidate.rejected:
        raise BadInputError(
            "the gate rejected this version",
            got=f"version {candidate.version} ({candidate.semver})",
            allowed="a version whose verdict is accepted",
            fix="deploy another version; `masker register` tells the reasons",
        )
    endpoints = _bring_up(candidate, options, control)
    revision = _switch(candidate, options, control)
    previous = _version_before(control, candidate.version)
    registry.name_champion(candidate.version, previous)
    _let_go(candidate, options, control)
    log.info("deployed", version=candidate.version, semver=candidate.semver, revision=revision.number)
    return Deployed(
        version=candidate.version,
        semver=candidate.semver,
        revision=revision.number,
        endpoints=[endpoint.url for endpoint in endpoints],
        previous=previous,
    )


def _bring_up(candidate: Candidate, options: DeployOptions, control: Control) -> list[Endpoint]:
    """Ask for servers of the version and wait for the first that is ready."""
    before = control.deployment(candidate.version)
    replicas = max(options.replicas, before.replicas if before else 0)
    wanted = Deployment(version=candidate.version, semver=candidate.semver, replicas=replicas)
    control.deploy(wanted, author=options.author, reason=f"deploy {options.reference}")
    try:
        return _wait(candidate, options, control)
    except (BadInputError, TemporaryError):
        if before is None or before.replicas == 0:
            withdrawn = wanted.model_copy(update={"replicas": 0})
            control.deploy(withdrawn, author=options.author, reason="it did not come up")
        raise


def _wait(candidate: Candidate, options: DeployOptions, control: Control) -> list[Endpoint]:
    """The endpoints of the version that are ready; their fleet has masked a test picture with each."""
    began = time.time()
    while True:
        endpoints = [e for e in control.endpoints(candidate.version) if e.heartbeat > time.time() - STALE_SECONDS]
        if ready := [e for e in endpoints if e.state == "ready"]:
            return ready
        for endpoint in endpoints:
            # An earlier attempt may have left its row; only news counts.
            if endpoint.state == "refused" and endpoint.heartbeat >= began:
                raise BadInputError(
                    f"the model server refuses version {candidate.semver}", got=endpoint.detail, fix="see the reason"
                )
        if time.time() - began > options.timeout:
            raise _too_late(candidate, options, endpoints)
        time.sleep(POLL_SECONDS)


def _too_late(candidate: Candidate, options: DeployOptions, endpoints: list[Endpoint]) -> TemporaryError:
    if not endpoints:
        return TemporaryError(
            f"no fleet took up version {candidate.semver} within {options.timeout:g} s",
            fix="start `masker fleet` with the same MASKER_CONTROL_DB",
        )
    last = max(endpoints, key=lambda endpoint: endpoint.heartbeat)
    return TemporaryError(
        f"no model server of version {candidate.semver} became ready within {options.timeout:g} s",
        got=f"{last.state} after {last.restarts} restarts: {last.detail}",
        fix="see the logs of `masker fleet`, or allow more time with --timeout",
    )


def _switch(candidate: Candidate, options: DeployOptions, control: Control) -> Revision:
    """Point the routing table at the version, unless it does already."""
    current = control.revision()
    table = only(candidate.version, candidate.semver)
    if current is not None:
        table = table.model_copy(update={"salt": current.table.salt})
        if current.table == table:
            return current
    number = current.number if current else 0
    reason = f"deploy {options.reference}"
    return control.write_routing(table, expected=number, author=options.author, reason=reason)


def _version_before(control: Control, version: str) -> str | None:
    """The champion before `version`, from the history: the same answer however often deploying is repeated."""
    return next(
        (r.table.champion_version for r in control.history(HISTORY) if r.table.champion_version != version), None
    )


def _let_go(candidate: Candidate, options: DeployOptions, control: Control) -> None:
    """Scale every other version down as far as nobody holds it, once no gateway sends to it any more."""
    others = [d for d in control.deployments() if d.version != candidate.version]
    if not others:
        return
    time.sleep(SETTLE_SECONDS)
    holds = Holds(control)
    for other in others:
        gone = other.model_copy(update={"replicas": min(other.replicas, holds.floor(other.version))})
        control.deploy(gone, author=options.author, reason=f"replaced by {candidate.semver}")
