"""Everything about a rollout that a person asks for: shares, lease, verdict by metric, what is next."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.table import Table

from identity_masker.errors import NotFoundError
from identity_masker.release.looks import Looks
from identity_masker.release.progress import Progress, progress
from identity_masker.release.rollout import Event, Rollout
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.release.traffic_table import CANARY
from identity_masker.release.verdict import Verdict
from identity_masker.serving.control import Control

SHOWN_EVENTS = 8


class Status(BaseModel):
    """A rollout as it stands. `shares` are those of the routing table; `judged` is the last look's verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    progress: Progress
    policy: str
    shares: dict[str, float]
    lease_seconds: float | None
    judged: Verdict | None
    evidence: str
    events: tuple[Event, ...]


def status(control: Control, store: str, now: datetime, rollout: str | None = None) -> Status:
    """The newest rollout, or the one that is named. Raises `NotFoundError` when there is none."""
    found = _find(RolloutLog(control), rollout)
    revision = control.revision()
    variants = revision.table.variants if revision else {}
    canary = variants.get(CANARY)
    lease = canary.lease_expires_at if canary else None
    looks = Looks(store, found.id)
    last = looks.find(found.looks) if found.looks else None
    return Status(
        progress=progress(found),
        policy=found.policy_name,
        shares={variant.semver: variant.share for variant in variants.values()},
        lease_seconds=round((lease - now).total_seconds(), 1) if lease else None,
        judged=last.verdict if last else None,
        evidence=looks.uri,
        events=found.events,
    )


def _find(log: RolloutLog, rollout: str | None) -> Rollout:
    if rollout is not None:
        return log.find(rollout)
    newest = log.newest()
    if newest is None:
        raise NotFoundError("there is no rollout", fix="start one: `masker release start`")
    return newest.rollout


def shown(found: Status) -> RenderableType:
    """The status as tables for a terminal."""
    now = found.progress
    facts = Table(show_header=False, box=None)
    stage = f"stage {min(now.stage + 1, len(now.stages))} of {len(now.stages)} ({', '.join(now.stages)})"
    for name, value in (
        ("rollout", f"{now.rollout}: {now.semver} after {now.champion}, policy {found.policy}"),
        ("phase", f"{now.phase}, {stage}"),
        ("shares", ", ".join(f"{semver} {share:.1%}" for semver, share in found.shares.items())),
        ("lease", "none" if found.lease_seconds is None else f"{found.lease_seconds:.0f} s left"),
        ("verdict", f"{now.verdict or 'no look yet'} after {now.looks} looks"),
        ("waits for a person", now.question),
        ("outcome", f"{now.outcome}: {now.why}" if now.outcome else ""),
        ("evidence", found.evidence),
    ):
        if value:
            facts.add_row(f"[bold]{name}[/bold]", value)
    parts: list[RenderableType] = [facts]
    if found.judged is not None:
        parts += [_metrics(found.judged), *(f"  {line}" for line in (*found.judged.reasons, *found.judged.outlook))]
    return Group(*parts, _events(found.events))


def _metrics(verdict: Verdict) -> Table:
    table = Table("metric", "champion", "canary", "effect", "interval", "worse", "not worse", "state")
    for metric in verdict.metrics:
        interval = f"{metric.interval[0]:.3g} to {metric.interval[1]:.3g}" if metric.interval else ""
        levels = ["" if v is None else f"{v:.4g}" for v in (metric.champion, metric.canary, metric.estimate)]
        table.add_row(
            metric.name, *levels, interval, f"{metric.e_value:.3g}", f"{metric.e_value_not_worse:.3g}", metric.state
        )
    return table


def _events(events: tuple[Event, ...]) -> Table:
    table = Table(show_header=False, box=None)
    for event in events[-SHOWN_EVENTS:]:
        table.add_row(f"{event.at:%H:%M:%S}", event.what)
    return table
