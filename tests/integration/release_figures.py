"""What a release that was driven to its end did to its users."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.integration.test_release import Stage

from identity_masker.release.looks import Looks
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.telemetry.events.reading import newest


class Figures(NamedTuple):
    """`seconds` from the verdict to the switch; `stray`: requests that began later and met the version that lost."""

    seconds: float
    stray: int


def figures(stage: Stage, folder: Path) -> Figures:
    """Of the newest rollout. `folder`: where the gateway's `events` are."""
    entry = RolloutLog(stage.control).newest()
    assert entry is not None
    rollout = entry.rollout
    assert rollout.switched_at is not None
    loser = rollout.champion if rollout.outcome == "promoted" else rollout.candidate
    last = Looks(stage.store, rollout.id).all()[-1]
    waited = (rollout.switched_at - last.at).total_seconds()
    return Figures(waited, _answered(folder, loser.version, rollout.switched_at))


def _answered(folder: Path, version: str, since: datetime) -> int:
    """Requests that began after `since` and were answered by `version`."""
    rows = newest(folder / "events", str(folder / "store"), "requests", since - timedelta(minutes=1), 1_000_000)
    return sum(row["version"] == version and datetime.fromisoformat(row["time"]) > since for row in rows)
