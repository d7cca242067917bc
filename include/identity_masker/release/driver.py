"""Takes a rollout forward, one step a call. Whoever calls may die at any point and call again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, assert_never

from identity_masker.errors import BadInputError, ConflictError, ForbiddenError, NotFoundError, TemporaryError
from identity_masker.release import traffic_table
from identity_masker.release.after_look import after_look, withdrawn
from identity_masker.release.gateway_metrics import Gateway, Snapshot
from identity_masker.release.gateways import interval
from identity_masker.release.looks import Looks, StoredLook
from identity_masker.release.progress import Progress, progress
from identity_masker.release.rollout import Approval, Rollout
from identity_masker.release.rollout_log import Entry, RolloutLog
from identity_masker.release.target import Target
from identity_masker.release.transition import (
    Action,
    Ask,
    Enter,
    Finish,
    Look,
    Measure,
    Name,
    Renew,
    Scale,
    Seen,
    Shift,
    Shiftback,
    Switch,
    Wait,
    Withdraw,
    decide,
    is_final,
    is_ours,
)
from identity_masker.serving.control import Control, Revision
from identity_masker.serving.holds import Holds
from identity_masker.serving.routing import RoutingTable
from identity_masker.telemetry import logs

ATTEMPTS = 5
log = logs.logger(__name__)


class Registry(Protocol):
    """What a rollout tells the model registry. The same again changes nothing."""

    def name_champion(self, version: str, previous: str | None) -> None: ...

    def withdraw(self, version: str) -> None:
        """The version is nobody's challenger any more."""
        ...

    def note(self, version: str, tags: dict[str, str]) -> None: ...


def utc_now() -> datetime:
    return datetime.now(UTC)


class Driver:
    """Everything that a rollout touches."""

    def __init__(
        self,
        control: Control,
        target: Target,
        gateway: Gateway,
        registry: Registry,
        store: str,
        now: Callable[[], datetime] = utc_now,
        told: Callable[[Rollout], None] = lambda _rollout: None,
    ) -> None:
        """`told` gets the rollout after each step that was recorded."""
        self._told = told
        self._control, self._target, self._gateway, self._registry = control, target, gateway, registry
        self._store, self._now = store, now
        self._log = RolloutLog(control)

    def advance(self) -> Progress:
        """Do what is next, or say how long there is nothing to do.

        Raises `NotFoundError` when there is no rollout and `TemporaryError` when something does not answer; nothing
        is lost then, and the lease sees to the users.
        """
        for _ in range(ATTEMPTS):
            entry = self._newest()
            if entry.rollout.ended:
                return progress(entry.rollout)
            seen = self._observe(entry.rollout)
            action = decide(entry.rollout, seen)
            if isinstance(action, Wait):
                return progress(entry.rollout, action)
            try:
                after = self._perform(action, entry.rollout, seen)
                if after != entry.rollout:
                    self._log.write(after, expected=entry.number)
            except ConflictError:
                continue  # another driver, or another writer of the routing table, was faster: look again
            _tell(entry.rollout, after)
            if after != entry.rollout:
                self._told(after)
            return progress(after)
        raise TemporaryError("others keep changing the rollout or the routing table", got=f"{ATTEMPTS} attempts")

    def drive(self, seconds: float, until_stage: int | None = None) -> Progress:
        """Advance until the rollout has ended or is beyond `until_stage`, or until a wait would go beyond `seconds`.

        Stage -1 is the deployment.
        """
        end = time.monotonic() + seconds
        while True:
            done = self.advance()
            beyond = until_stage is not None and (done.position > until_stage)
            if done.ended or beyond or time.monotonic() + done.wait_seconds > end:
                return done
            time.sleep(done.wait_seconds)

    def give_up(self, why: str) -> Rollout:
        """Turn the rollout round, unless it is on its way back or past the switch; what it is then."""
        for _ in range(ATTEMPTS):
            number, rollout = self._newest()
            if rollout.phase in ("withdrawing", "ended") or rollout.switched_at is not None:
                return rollout
            turned = withdrawn(rollout, self._now(), why)
            with contextlib.suppress(ConflictError):
                return self._log.write(turned, expected=number).rollout
        raise TemporaryError("others keep changing the rollout", got=f"{ATTEMPTS} attempts")

    def approve(self, author: str, question: str = "") -> Rollout:
        """Say yes to `question`, also before it is asked; default the one that is asked. The same again is no change.

        Raises `BadInputError` when nothing is asked, `ForbiddenError` when the policy names others as approvers.
        """
        entry = self._newest()
        approvers = entry.rollout.policy.approvers
        if approvers and author not in approvers:
            raise ForbiddenError(
                "the policy leaves this decision to others",
                got=author,
                allowed="one of " + ", ".join(approvers),
                fix=f"ask one of them, or release under another policy than {entry.rollout.policy_name}",
            )
        if question and entry.rollout.approved(question):
            return entry.rollout
        asked = question or entry.rollout.question
        if not asked or entry.rollout.ended:
            raise BadInputError("the rollout asks nothing", got=f"{entry.rollout.id} is {entry.rollout.phase}")
        approval = Approval(question=asked, author=author, at=self._now())
        approvals = (*entry.rollout.approvals, approval)
        after = entry.rollout.noting(
            approval.at, f"{author} approved: {approval.question}", approvals=approvals, question=""
        )
        return self._log.write(after, expected=entry.number).rollout

    def _newest(self) -> Entry:
        entry = self._log.newest()
        if entry is None:
            raise NotFoundError("there is no rollout", fix="start one: `masker release start`")
        return entry

    def _observe(self, rollout: Rollout) -> Seen:
        revision = self._control.revision()
        if revision is None:
            raise TemporaryError("the routing table is gone", fix="restore the control database")
        return Seen(
            now=self._now(),
            revision=revision,
            candidate=self._target.health(rollout.candidate.version, rollout.phase_since),
            champion=self._target.health(rollout.champion.version, rollout.phase_since),
            gateway_revision=self._gateway_revision() if rollout.phase == "shifting" else None,
        )

    def _gateway_revision(self) -> int | None:
        try:
            return self._gateway.read().revision
        except TemporaryError as error:
            log.warning("gateway_silent", detail=str(error))
            return None

    def _perform(self, action: Action, rollout: Rollout, seen: Seen) -> Rollout:
        """The rollout after `action`. Each effect looks first whether it is done, or may be done twice."""
        match action:
            case Scale():
                self._scale(action, rollout)
                return rollout
            case Shift() | Renew():
                again = isinstance(action, Renew)
                made = traffic_table.renewed(seen.revision.table, rollout, seen.now) if again else None
                self._route(made or traffic_table.shared(rollout, seen.now), seen.revision, rollout)
                return rollout
            case Measure():
                return _measuring(rollout, seen, self._gateway.read())
            case Look():
                return after_look(rollout, self._look(rollout, seen))
            case Switch() | Name() | Finish():
                return self._end(action, rollout, seen)
            case Ask() | Enter() | Shiftback() | Withdraw():
                return _moved(action, rollout, seen.now)
            case Wait():
                return rollout
            case _:
                assert_never(action)

    def _end(self, action: Switch | Name | Finish, rollout: Rollout, seen: Seen) -> Rollout:
        if isinstance(action, Switch):
            self._switch(rollout, seen)
            return rollout.model_copy(update={"switched_at": rollout.switched_at or seen.now})
        if isinstance(action, Name):
            self._name(rollout)
            return rollout.model_copy(update={"named": True})
        self._finish(rollout, seen)
        return rollout.entering("ended", seen.now, str(rollout.outcome).replace("_", " "))

    def _scale(self, action: Scale, rollout: Rollout) -> None:
        for side, count in zip((rollout.candidate, rollout.champion), action.counts, strict=True):
            if count:
                self._target.scale(side, count, author=rollout.signature, reason=_reason(rollout))

    def _route(self, table: RoutingTable, revision: Revision, rollout: Rollout) -> None:
        if table != revision.table:
            self._control.write_routing(
                table, expected=revision.number, author=rollout.signature, reason=_reason(rollout)
            )

    def _look(self, rollout: Rollout, seen: Seen) -> StoredLook:
        looks, number = Looks(self._store, rollout.id), rollout.looks + 1
        known = looks.find(number)
        if known is not None:
            return known  # taken before, and its taker died before that was recorded
        began, baseline = rollout.interval_since, rollout.baseline
        assert began is not None  # noqa: S101 - both are set when soaking begins
        assert baseline is not None  # noqa: S101
        seconds, snapshot = max((seen.now - began).total_seconds(), 1e-3), self._snapshot()
        stage = rollout.stage_now
        share = None if stage.mirrored else stage.share
        arms = {"champion": rollout.champion.version, "canary": rollout.candidate.version} if snapshot else {}
        found = interval(
            baseline, snapshot or baseline, arms, seconds=seconds, share=share, mirrored=stage.mirrored,  # type: ignore[arg-type]
        )  # fmt: skip
        looks.keep_policy(rollout.policy)
        verdict = looks.judge(rollout.policy, found)
        return looks.keep(
            StoredLook(
                number=number, at=seen.now, stage=rollout.stage, interval=found,
                snapshot=snapshot or baseline, verdict=verdict,
            )
        )  # fmt: skip

    def _snapshot(self) -> Snapshot | None:
        """None when the gateway does not answer: the interval is stored as one without data, which holds."""
        try:
            return self._gateway.read()
        except TemporaryError as error:
            log.warning("gateway_silent", detail=str(error))
            return None

    def _switch(self, rollout: Rollout, seen: Seen) -> None:
        if is_ours(rollout, seen.revision) and not is_final(rollout, seen.revision):
            winner = rollout.candidate if rollout.outcome == "promoted" else rollout.champion
            self._route(traffic_table.alone(winner, seen.revision.table.salt), seen.revision, rollout)

    def _name(self, rollout: Rollout) -> None:
        candidate, champion = rollout.candidate.version, rollout.champion.version
        if rollout.outcome == "promoted":
            self._registry.name_champion(candidate, champion)
        elif rollout.outcome == "rolled_back":
            self._registry.withdraw(candidate)
        tags = {
            "release": rollout.id,
            "release_outcome": str(rollout.outcome),
            "release_by": rollout.author,
            "release_at": str(rollout.switched_at),
            "release_evidence": Looks(self._store, rollout.id).uri,
        }
        self._registry.note(candidate, tags)

    def _finish(self, rollout: Rollout, seen: Seen) -> None:
        loser = rollout.champion if rollout.outcome == "promoted" else rollout.candidate
        if traffic_table.mentions(seen.revision.table, loser.version):
            return
        if held := Holds(self._control).floor(loser.version):
            self._target.scale(loser, held, author=rollout.signature, reason="held by an experiment")
        else:
            self._target.remove(loser, author=rollout.signature, reason=_reason(rollout))


def _measuring(rollout: Rollout, seen: Seen, snapshot: Snapshot) -> Rollout:
    """The beginning of the stage's first interval."""
    return rollout.entering(
        "soaking",
        seen.now,
        f"at {rollout.stage_now.name}",
        baseline=snapshot,
        interval_since=seen.now,
        stage_since=seen.now,
    )


def _moved(action: Ask | Enter | Shiftback | Withdraw, rollout: Rollout, now: datetime) -> Rollout:
    """The rollout after an action that has no effect outside of it."""
    match action:
        case Ask(question):
            return rollout.noting(now, f"asks: {question}", question=question)
        case Enter():
            return rollout.entering("shifting", now, f"to {rollout.stage_now.name}", stage_since=now, question="")
        case Shiftback(why):
            return rollout.entering("shifting", now, f"again to {rollout.stage_now.name}: {why}")
        case Withdraw(why):
            return withdrawn(rollout, now, why)


def _reason(rollout: Rollout) -> str:
    return rollout.why or f"{rollout.phase} {rollout.stage_now.name}"


def _tell(before: Rollout, after: Rollout) -> None:
    """One log line for each new event."""
    for event in after.events[len(before.events) :]:
        log.info("rollout", id=after.id, version=after.candidate.semver, what=event.what)
