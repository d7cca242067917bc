"""The stages of a rollout, made from its policy: how much traffic, for how long, on which part of the servers."""

from __future__ import annotations

import itertools
import math

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.release.policy import Policy


class Stage(BaseModel):
    """One stage: the candidate's share of the traffic and of the replicas, and the least time spent there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    share: float = Field(gt=0.0, le=1.0)
    soak_seconds: float = Field(ge=0.0)
    part: float = Field(default=1.0, gt=0.0, le=1.0)
    mirrored: bool = Field(default=False, description="`share` of the requests is copied; no user gets the answer.")


def stages(policy: Policy) -> tuple[Stage, ...]:
    """The stages in order. After the last one the candidate becomes the champion.

    Blue-green has one, the preflight: what follows is the switch. Rolling gives each batch of replicas the share of
    the traffic that it is of the replicas. Shadow has one, in which no user meets the candidate.
    """
    if policy.canary is not None:
        return tuple(_stage(step.share, step.soak_seconds) for step in policy.canary.steps)
    if policy.blue_green is not None:
        section = policy.blue_green
        return (_stage(section.preflight_share, section.preflight_seconds),)
    if policy.rolling is not None:
        soak = policy.rolling.soak_seconds
        parts = [min(round(part, 9), 1.0) for part in itertools.accumulate(policy.rolling.batches)]
        return tuple(_stage(part, soak, part=part) for part in parts)
    if policy.shadow is not None:
        share = policy.shadow.mirror_share
        return (
            Stage(name=f"mirror {100 * share:g} %", share=share, soak_seconds=policy.shadow.seconds, mirrored=True),
        )
    return ()


def keep_warm_seconds(policy: Policy) -> float:
    """How long the old version's servers stay up after the switch."""
    return policy.blue_green.keep_warm_seconds if policy.blue_green else 0.0


def is_full(policy: Policy, stage: int) -> bool:
    """Whether reaching `stage` gives the candidate all traffic; the number after the last one is the promotion."""
    plan = stages(policy)
    return stage >= len(plan) or math.isclose(plan[stage].share, 1.0)


def _stage(share: float, soak_seconds: float, part: float = 1.0) -> Stage:
    return Stage(name=f"{100 * share:g} %", share=share, soak_seconds=soak_seconds, part=part)
