"""How many model servers each version has at a point of a rollout, and the order in which they are replaced."""

from __future__ import annotations

import math
from typing import NamedTuple

from identity_masker.errors import BadInputError
from identity_masker.release.policy import Policy
from identity_masker.release.strategy import Rolling


class Counts(NamedTuple):
    """Model servers of the candidate and of the champion."""

    candidate: int
    champion: int


def goal(policy: Policy, part: float, replicas: int) -> Counts:
    """The replicas of a stage in which the candidate has `part` of them.

    Everything but rolling keeps a full copy of both. Rolling keeps one replica of the champion to the end: when the
    lease runs out, somebody has to answer.
    """
    if policy.rolling is None:
        return Counts(replicas, replicas)
    candidate = math.ceil(part * replicas - 1e-9)
    champion = max(replicas - candidate, 1)
    return Counts(min(candidate, replicas + policy.rolling.max_surge - champion), champion)


def check(policy: Policy, replicas: int) -> None:
    """Raises `BadInputError` when `replicas` are too few to be replaced one by one."""
    if policy.rolling is not None and replicas == 1 and policy.rolling.max_surge == 0:
        raise BadInputError(
            "one replica cannot be replaced in place",
            got="1 replica, max_surge 0",
            fix="deploy the champion with more replicas, or set max_surge to 1",
        )


def next_step(rolling: Rolling, replicas: int, wanted: Counts, ready: Counts, target: Counts) -> Counts | None:
    """The counts to ask for next on the way from `wanted` to `target`; None when it is to be waited.

    Never more than `replicas + max_surge` are asked for, and a ready one is only let go while at least
    `replicas - max_unavailable` others are ready.
    """
    if wanted.candidate < target.candidate and sum(wanted) < replicas + rolling.max_surge:
        return Counts(wanted.candidate + 1, wanted.champion) if ready.candidate >= wanted.candidate else None
    if wanted.champion > target.champion and sum(ready) - 1 >= replicas - rolling.max_unavailable:
        return Counts(wanted.candidate, wanted.champion - 1)
    return None
