"""Where a rollout stands, as it is printed, returned and shown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from identity_masker.release.rollout import Outcome, Phase, Rollout
from identity_masker.release.transition import Wait
from identity_masker.release.verdict import VerdictWord


class Progress(BaseModel):
    """A rollout in short.

    `position` is -1 while the candidate is deployed, then the stage, and the number of stages once the outcome is
    clear. `wait_seconds` is how long there is nothing to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rollout: str
    version: str
    semver: str
    champion: str
    phase: Phase
    stage: int
    position: int
    stages: tuple[str, ...]
    looks: int
    verdict: VerdictWord | None
    reasons: tuple[str, ...]
    approval: str
    question: str
    outcome: Outcome | None
    why: str
    ended: bool
    wait_seconds: float
    doing: str


def progress(rollout: Rollout, wait: Wait | None = None) -> Progress:
    return Progress(
        rollout=rollout.id,
        version=rollout.candidate.version,
        semver=rollout.candidate.semver,
        champion=rollout.champion.semver,
        phase=rollout.phase,
        stage=rollout.stage,
        position=_position(rollout),
        stages=tuple(stage.name for stage in rollout.stages),
        looks=rollout.looks,
        verdict=rollout.verdict,
        reasons=rollout.reasons,
        approval=rollout.policy.approval,
        question=rollout.question,
        outcome=rollout.outcome,
        why=rollout.why,
        ended=rollout.ended,
        wait_seconds=wait.seconds if wait else 0.0,
        doing=wait.why if wait else (rollout.events[-1].what if rollout.events else ""),
    )


def _position(rollout: Rollout) -> int:
    if rollout.outcome is not None:
        return len(rollout.stages)
    return -1 if rollout.phase == "deploying" else rollout.stage
