"""What a rollout does next: a pure function of its state and of what is seen. It does nothing itself.

Every action leads to a state that can be seen, so whoever was interrupted in the middle of one, or before its end was
recorded, is told to do the same again, and doing it again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from identity_masker.release import plan, replicas, traffic_table
from identity_masker.release.replicas import Counts
from identity_masker.release.rollout import Rollout
from identity_masker.release.target import Health
from identity_masker.serving.control import Revision

POLL_SECONDS = 0.5
ASKING_SECONDS = 30.0
SETTLE_SECONDS = 1.5
"""Every gateway has read a new routing table by then; until it has, it may need the old servers."""

BEFORE_TRAFFIC, BEFORE_FULL = "before_traffic", "before_full"


@dataclass(frozen=True)
class Seen:
    """The world at one moment. `gateway_revision` is None when the gateway does not answer."""

    now: datetime
    revision: Revision
    candidate: Health
    champion: Health
    gateway_revision: int | None


class Wait(NamedTuple):
    """Nothing to do for so long."""

    seconds: float
    why: str


class Scale(NamedTuple):
    """Ask for other numbers of model servers."""

    counts: Counts


class Ask(NamedTuple):
    """Ask a person."""

    question: str


class Enter(NamedTuple):
    """Begin with the present stage."""


class Shift(NamedTuple):
    """Give the candidate the share of the stage."""


class Measure(NamedTuple):
    """Begin an interval: remember what the gateway has counted so far."""


class Renew(NamedTuple):
    """Renew the lease."""


class Look(NamedTuple):
    """End the interval, judge all evidence so far, and go where the verdict leads."""


class Shiftback(NamedTuple):
    """Begin the stage anew: its share was lost."""

    why: str


class Withdraw(NamedTuple):
    """Give the release up."""

    why: str


class Switch(NamedTuple):
    """Bring the routing table into the state in which the rollout ends."""


class Name(NamedTuple):
    """Bring the registry's aliases and tags into agreement with the traffic."""


class Finish(NamedTuple):
    """Let the servers go that nobody needs any more."""


Action = Wait | Scale | Ask | Enter | Shift | Measure | Renew | Look | Shiftback | Withdraw | Switch | Name | Finish


def decide(rollout: Rollout, seen: Seen) -> Action:
    """The next action of a rollout that has not ended."""
    if rollout.phase in ("promoting", "withdrawing"):
        return _ending(rollout, seen)
    if seen.candidate.refused:
        return Withdraw(f"the model server refuses the version: {seen.candidate.refused}")
    foreign = _foreign(rollout, seen)
    if foreign is not None:
        return Withdraw(foreign)
    if rollout.phase == "deploying":
        return _deploying(rollout, seen)
    return _shifting(rollout, seen) if rollout.phase == "shifting" else _soaking(rollout, seen)


def _foreign(rollout: Rollout, seen: Seen) -> str | None:
    """Why the routing table is not the one that this rollout works on."""
    revision = seen.revision
    whose = f"revision {revision.number} by {revision.author}: {revision.reason}"
    if revision.table.champion_version != rollout.champion.version:
        return f"somebody else changed the champion ({whose})"
    has_share = rollout.phase == "soaking" or rollout.stage > 0
    if has_share and traffic_table.canary_of(revision.table, rollout) is None:
        return f"somebody else took the candidate out of the routing table ({whose})"
    others = set(revision.table.variants) - {revision.table.champion, traffic_table.CANARY}
    return f"somebody else shares the traffic too: {', '.join(sorted(others))} ({whose})" if others else None


def _deploying(rollout: Rollout, seen: Seen) -> Action:
    if rollout.question:
        return Wait(ASKING_SECONDS, f"waiting for a person: {rollout.question}")
    if rollout.approved(BEFORE_TRAFFIC):
        return Enter()  # a server that restarts just now has the time of `shifting` to come back
    if rollout.policy.rolling is None:
        scaling = _reach(rollout, seen, Counts(rollout.candidate.replicas, rollout.champion.replicas))
        if scaling is not None:
            return scaling
    return Ask(BEFORE_TRAFFIC) if rollout.policy.approval == BEFORE_TRAFFIC else Enter()


def _shifting(rollout: Rollout, seen: Seen) -> Action:
    target = replicas.goal(rollout.policy, rollout.stage_now.part, rollout.champion.replicas)
    held = _lease(rollout, seen)
    if isinstance(held, Renew):
        return held
    scaling = _reach(rollout, seen, target)
    if scaling is not None:
        return scaling if held is None or not isinstance(scaling, Wait) else _sooner(scaling, held)
    wanted = traffic_table.shared(rollout, seen.now)
    if held is None or not traffic_table.same_but_lease(seen.revision.table, wanted):
        return Shift()
    if seen.gateway_revision is None:
        return _sooner(Wait(POLL_SECONDS, "the gateway does not answer"), held)
    if seen.gateway_revision < seen.revision.number:
        return _sooner(Wait(POLL_SECONDS / 2, "the gateway has not read the routing table yet"), held)
    return Measure()


def _reach(rollout: Rollout, seen: Seen, target: Counts) -> Scale | Wait | Withdraw | None:
    """The way to `target` model servers, all of them ready; None once there."""
    wanted = Counts(seen.candidate.wanted, seen.champion.wanted)
    # One that is no longer wanted, or that an autoscaler added, goes any moment: it must not be counted on.
    ready = Counts(min(seen.candidate.ready, wanted.candidate), min(seen.champion.ready, wanted.champion))
    if wanted == target and ready.candidate >= target.candidate:
        return None
    rolling = rollout.policy.rolling
    following = target if rolling is None else replicas.next_step(
        rolling, rollout.champion.replicas, wanted, ready, target
    )  # fmt: skip
    if following is not None and following != wanted:
        return Scale(following)
    if (seen.now - rollout.phase_since).total_seconds() > rollout.policy.ready_seconds:
        detail = seen.candidate.detail or "no fleet took it up"
        return Withdraw(f"not ready within {rollout.policy.ready_seconds:g} s: {detail}")
    return Wait(POLL_SECONDS, f"{ready.candidate} of {target.candidate} model servers are ready")


def _soaking(rollout: Rollout, seen: Seen) -> Action:
    held = _lease(rollout, seen)
    if held is None:
        return Shiftback("the lease had run out: the gateway went back to the champion")
    if isinstance(held, Renew):
        return held
    began = rollout.interval_since or seen.now
    left = rollout.policy.interval_seconds - (seen.now - began).total_seconds()
    if left <= 0.0:
        return Look()
    waiting = f"waiting for a person: {rollout.question}" if rollout.question else "soaking"
    return _sooner(Wait(left, waiting), held)


def _lease(rollout: Rollout, seen: Seen) -> Renew | float | None:
    """Seconds until the lease is to be renewed, or that it is to be renewed now; None when there is none that holds."""
    canary = traffic_table.canary_of(seen.revision.table, rollout)
    if canary is None or canary.lease_expires_at is None or canary.leased_out(seen.now):
        return None
    due = canary.lease_expires_at - timedelta(seconds=rollout.policy.lease_seconds / 2.0)
    left = (due - seen.now).total_seconds()
    return left if left > 0.0 else Renew()


def _sooner(wait: Wait, seconds: float | None) -> Wait:
    return wait if seconds is None or seconds >= wait.seconds else wait._replace(seconds=seconds)


def _ending(rollout: Rollout, seen: Seen) -> Action:
    """Traffic first, then names, then servers."""
    final, ours = is_final(rollout, seen.revision), is_ours(rollout, seen.revision)
    promoted = rollout.outcome == "promoted"
    if promoted and not final and not ours and not rollout.named:
        return Withdraw(f"somebody else changed the routing table (revision {seen.revision.number})")
    if rollout.switched_at is None or (ours and not final):
        return Switch()
    if not rollout.named:
        return Name()
    scaling = _restored(rollout, seen)
    if scaling is not None:
        return scaling
    warm = plan.keep_warm_seconds(rollout.policy) if promoted else 0.0
    left = max(warm, SETTLE_SECONDS) - (seen.now - rollout.switched_at).total_seconds()
    return Wait(left, "the servers of the other version stay up for a while") if left > 0.0 else Finish()


def _restored(rollout: Rollout, seen: Seen) -> Scale | None:
    """The version that remains gets all its model servers (back)."""
    if rollout.outcome == "promoted":
        side, counts = rollout.candidate, Counts(rollout.candidate.replicas, seen.champion.wanted)
        wanted = seen.candidate.wanted
    else:
        side, counts = rollout.champion, Counts(seen.candidate.wanted, rollout.champion.replicas)
        wanted = seen.champion.wanted
    serves = traffic_table.mentions(seen.revision.table, side.version)
    return Scale(counts) if serves and wanted < side.replicas else None


def is_final(rollout: Rollout, revision: Revision) -> bool:
    """Whether all traffic goes to the version that the outcome names."""
    winner = rollout.candidate if rollout.outcome == "promoted" else rollout.champion
    return len(revision.table.variants) == 1 and revision.table.champion_version == winner.version


def is_ours(rollout: Rollout, revision: Revision) -> bool:
    """Whether the routing table still is the one that this rollout wrote."""
    return traffic_table.canary_of(revision.table, rollout) is not None and revision.author == rollout.signature
