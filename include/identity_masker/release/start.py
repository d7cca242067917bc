"""The beginning of a rollout: everything that can be refused is refused here, before anything changes."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import BadInputError, ConflictError, NotFoundError
from identity_masker.release import replicas
from identity_masker.release.gateway_metrics import MEASURES
from identity_masker.release.policy import Policy
from identity_masker.release.rollout import Rollout, Side
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.serving.control import Control, Revision
from identity_masker.serving.deploy import Candidate, Registry


class StartOptions(BaseModel):
    """What to release, how, and for whom. `key`: starting again with the same key finds the same rollout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str = Field(min_length=1)
    policy_name: str
    policy: Policy
    key: str = ""
    author: str = Field(min_length=1, max_length=120)


def start(options: StartOptions, registry: Registry, control: Control, now: datetime) -> Rollout:
    """Begin a rollout; nothing is deployed yet.

    Raises `ConflictError` while another one runs or somebody else shares the traffic, `NotFoundError` without such a
    version or without a champion, `BadInputError` for a rejected version, one that serves already, and a policy that
    could never promote.
    """
    log = RolloutLog(control)
    newest = log.newest()
    if newest is not None and options.key and newest.rollout.key == options.key:
        return newest.rollout
    if newest is not None and not newest.rollout.ended:
        raise ConflictError(
            "another rollout is under way",
            got=f"{newest.rollout.id}, {newest.rollout.phase}",
            fix="wait for its end (`masker release status --watch`), or `masker release rollback`",
        )
    _check_policy(options.policy)
    candidate = _candidate(options.reference, registry)
    champion = _champion(control, candidate)
    replicas.check(options.policy, champion.replicas)
    number = newest.number if newest else 0
    rollout = Rollout(
        id=f"{candidate.semver}-r{number + 1}",
        key=options.key,
        author=options.author,
        policy_name=options.policy_name,
        policy=options.policy,
        candidate=Side(version=candidate.version, semver=candidate.semver, replicas=champion.replicas),
        champion=champion,
        started_at=now,
        phase_since=now,
        stage_since=now,
    )
    return log.write(rollout.noting(now, "started"), expected=number).rollout


def _check_policy(policy: Policy) -> None:
    missing = sorted(n for n, rule in policy.metrics.items() if rule.required and (rule.of or n) not in MEASURES)
    if missing:
        raise BadInputError(
            "the policy requires metrics that nothing measures in traffic, so it could never promote",
            got=", ".join(missing),
            allowed=f"required metrics among {', '.join(sorted(MEASURES))}",
            fix="set required: false for the others",
        )


def _candidate(reference: str, registry: Registry) -> Candidate:
    candidate = registry.resolve(reference)
    if candidate.rejected:
        raise BadInputError(
            "the gate rejected this version",
            got=f"version {candidate.version} ({candidate.semver})",
            allowed="a version whose verdict is accepted",
            fix="release another version; `masker register` tells the reasons",
        )
    return candidate


def _champion(control: Control, candidate: Candidate) -> Side:
    revision = control.revision()
    if revision is None:
        raise NotFoundError(
            "there is no champion to compare with", fix="deploy the first version: `masker deploy --version challenger`"
        )
    _check_alone(revision)
    serving = revision.table.variants[revision.table.champion]
    if serving.version == candidate.version:
        raise BadInputError("this version is the champion already", got=f"{candidate.semver}, all traffic")
    deployment = control.deployment(serving.version)
    count = deployment.replicas if deployment and deployment.replicas else 1
    return Side(version=serving.version, semver=serving.semver, replicas=count)


def _check_alone(revision: Revision) -> None:
    if len(revision.table.variants) > 1:
        raise ConflictError(
            "the traffic is shared already",
            got=f"variants {', '.join(sorted(revision.table.variants))} in revision {revision.number}",
            allowed="the champion alone",
            fix="end what shares it, or `masker deploy --version champion`",
        )
