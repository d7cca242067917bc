"""The state of one rollout, as it is stored after each step."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from identity_masker.release.gateway_metrics import Snapshot
from identity_masker.release.plan import Stage, stages
from identity_masker.release.policy import Policy
from identity_masker.release.verdict import VerdictWord

Phase = Literal["deploying", "shifting", "soaking", "promoting", "withdrawing", "ended"]
Outcome = Literal["promoted", "rolled_back", "passed"]
"""`passed`: found not worse in the shadow, where the policy says to stop."""

KEPT_EVENTS = 200


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Side(_Document):
    """A version and how many model servers it has when it serves alone."""

    version: str
    semver: str
    replicas: int = Field(ge=1, le=64)


class Event(_Document):
    """Something that happened in a rollout."""

    at: AwareDatetime
    what: str


class Approval(_Document):
    """A person's yes to one question."""

    question: str
    author: str
    at: AwareDatetime


class Rollout(_Document):
    """One rollout. `key` is what its starter calls it: starting again with the same key finds it again.

    `question` is what a person has to say yes to before it goes on. `switched_at` is when the routing table got the
    state in which the rollout ends.
    """

    id: str
    key: str
    author: str
    policy_name: str
    policy: Policy
    candidate: Side
    champion: Side
    started_at: AwareDatetime
    phase: Phase = "deploying"
    phase_since: AwareDatetime
    stage: int = 0
    stage_since: AwareDatetime
    interval_since: AwareDatetime | None = None
    baseline: Snapshot | None = None
    looks: int = 0
    verdict: VerdictWord | None = None
    reasons: tuple[str, ...] = ()
    question: str = ""
    approvals: tuple[Approval, ...] = ()
    outcome: Outcome | None = None
    why: str = ""
    switched_at: AwareDatetime | None = None
    named: bool = False
    events: tuple[Event, ...] = ()

    @property
    def ended(self) -> bool:
        return self.phase == "ended"

    @property
    def stages(self) -> tuple[Stage, ...]:
        return stages(self.policy)

    @property
    def stage_now(self) -> Stage:
        return self.stages[self.stage]

    @property
    def signature(self) -> str:
        """What the rollout signs its writes to the control database with."""
        return f"release {self.id} for {self.author}"[:200]

    def approved(self, question: str) -> bool:
        return any(approval.question == question for approval in self.approvals)

    def entering(self, phase: Phase, at: AwareDatetime, what: str, **changes: object) -> Rollout:
        """The rollout in another phase (or the same one anew), with an event that says so."""
        return self.noting(at, what, phase=phase, phase_since=at, **changes)

    def noting(self, at: AwareDatetime, what: str, **changes: object) -> Rollout:
        events = (*self.events, Event(at=at, what=what))[-KEPT_EVENTS:]
        return self.model_copy(update={**changes, "events": events})
