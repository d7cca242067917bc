"""A rollout again, from what was stored: every look is judged anew, and has to give the verdict that it gave."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from identity_masker.errors import MaskerError, NotFoundError
from identity_masker.release.evidence import Evidence
from identity_masker.release.judge import digest, judge
from identity_masker.release.looks import Looks
from identity_masker.release.verdict import Verdict, VerdictWord


class ReplayedLook(BaseModel):
    """One look: the share it was taken at, the verdict, and the evidence of worse so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    look: int
    at: str
    share: float | None
    verdict: VerdictWord
    e_value: float
    reasons: tuple[str, ...]


class Replayed(BaseModel):
    """All looks of a rollout, each with the verdict that was stored and is given again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rollout: str
    uri: str
    looks: tuple[ReplayedLook, ...]
    last: Verdict


def replay(rollout: str, store: str) -> Replayed:
    """Judge a stored rollout again.

    Raises `NotFoundError` when nothing is stored of it and `MaskerError` when a verdict differs from the stored one:
    then evidence, policy or judge are not what they were.
    """
    stored = Looks(store, rollout)
    policy, looks = stored.policy(), stored.all()
    if not looks:
        raise NotFoundError("the rollout had no look", got=stored.uri)
    for count, look in enumerate(looks, start=1):
        again = judge(policy, Evidence(intervals=tuple(each.interval for each in looks[:count])))
        if digest(again) != digest(look.verdict):
            raise MaskerError(
                "a look gives another verdict than it gave",
                got=f"look {look.number}: {again.verdict}, evidence {again.e_value:.6g}",
                allowed=f"{look.verdict.verdict}, evidence {look.verdict.e_value:.6g}",
                fix="see whether the judge's version is the one of the rollout",
            )
    lines = tuple(
        ReplayedLook(
            look=look.number, at=look.at.isoformat(), share=look.interval.share, verdict=look.verdict.verdict,
            e_value=look.verdict.e_value, reasons=look.verdict.reasons,
        )
        for look in looks
    )  # fmt: skip
    return Replayed(rollout=rollout, uri=stored.uri, looks=lines, last=looks[-1].verdict)
