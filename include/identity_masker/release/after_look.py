"""Where a verdict leads: a pure function of the rollout and the look."""

from __future__ import annotations

from datetime import datetime

from identity_masker.release import plan
from identity_masker.release.looks import StoredLook
from identity_masker.release.rollout import Rollout
from identity_masker.release.transition import BEFORE_FULL
from identity_masker.release.verdict import Verdict

MAY_FAIL = frozenset({"minimum"})
"""Checks that a share may grow without: there is less traffic to look at before than after."""


def after_look(rollout: Rollout, look: StoredLook) -> Rollout:
    """The rollout after a look.

    A share below 1 grows when the stage's soak is over, no check fails and nothing says that the candidate is worse.
    All traffic is given only on the verdict `promote`, or on a person's word.
    """
    verdict = look.verdict
    seen = rollout.model_copy(
        update={
            "looks": look.number,
            "verdict": verdict.verdict,
            "reasons": verdict.reasons,
            "interval_since": look.at,
            "baseline": look.snapshot,
        }
    )
    if verdict.verdict == "roll_back":
        return withdrawn(seen, look.at, verdict.reasons[0])
    if (look.at - rollout.stage_since).total_seconds() < rollout.stage_now.soak_seconds:
        return seen
    question = _question(seen, verdict)
    if question == "":
        return _next_stage(seen, look.at)
    return seen if question in (None, seen.question) else seen.noting(look.at, f"asks: {question}", question=question)


def withdrawn(rollout: Rollout, at: datetime, why: str) -> Rollout:
    """The rollout given up."""
    return rollout.entering("withdrawing", at, f"rolling back: {why}", outcome="rolled_back", why=why, question="")


def _question(rollout: Rollout, verdict: Verdict) -> str | None:
    """What a person has to say yes to; empty when nothing keeps the rollout, None when only evidence does."""
    decision = f"deadline in stage {rollout.stage_now.name}"
    full = plan.is_full(rollout.policy, rollout.stage + 1)
    failed = {check.name for check in verdict.checks if not check.ok} - MAY_FAIL
    enough = verdict.verdict == "promote" or (not full and not failed and not verdict.ask)
    if not enough and not rollout.approved(decision):
        return decision if verdict.ask else None
    if full and rollout.policy.approval == BEFORE_FULL and not rollout.approved(BEFORE_FULL):
        return BEFORE_FULL
    return ""


def _next_stage(rollout: Rollout, at: datetime) -> Rollout:
    following = rollout.stage + 1
    reset = {"question": "", "interval_since": None, "baseline": None}
    if following < len(rollout.stages):
        name = rollout.stages[following].name
        return rollout.entering("shifting", at, f"to {name}", stage=following, stage_since=at, **reset)
    why = "; ".join(rollout.reasons) or "a person decided"
    if rollout.policy.shadow is not None and rollout.policy.shadow.then == "stop":
        return rollout.entering("withdrawing", at, "passed in the shadow", outcome="passed", why=why, **reset)
    return rollout.entering("promoting", at, "promoting", outcome="promoted", why=why, **reset)
