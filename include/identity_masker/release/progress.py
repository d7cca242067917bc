"""Where a rollout stands, as it is printed, returned and shown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from identity_masker.release.rollout import Outcome, Phase, Rollout
from identity_masker.release.transition import Wait
from identity_masker.release.verdict import VerdictWord


class Progress(BaseModel):
    """A rollout in short. `wait_seconds` is how long there is nothing to do; `share` the candidate's asked share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rollout: str
    version: str
    semver: str
    champion: str
    phase: Phase
    stage: int
    stages: tuple[str, ...]
    looks: int
    verdict: VerdictWord | None
    reasons: tuple[str, ...]
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
        stages=tuple(stage.name for stage in rollout.stages),
        looks=rollout.looks,
        verdict=rollout.verdict,
        reasons=rollout.reasons,
        question=rollout.question,
        outcome=rollout.outcome,
        why=rollout.why,
        ended=rollout.ended,
        wait_seconds=wait.seconds if wait else 0.0,
        doing=wait.why if wait else (rollout.events[-1].what if rollout.events else ""),
    )
