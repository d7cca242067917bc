"""Events that are kept for a limited time: the example pictures."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from identity_masker import artifacts
from identity_masker.telemetry.events.kinds import Kind

_DAY = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


def expire(store: str, kind: Kind, days: int, now: datetime) -> int:
    """Remove the stored events of `kind` of days (UTC) that ended more than `days` days ago; how many days went."""
    folder, first = artifacts.join(store, "events", kind), now.astimezone(UTC).date() - timedelta(days=days)
    named = ((name, _DAY.fullmatch(name)) for name in artifacts.names(folder))
    old = [name for name, match in named if match and date.fromisoformat(match[1]) < first]
    for name in old:
        artifacts.remove(artifacts.join(folder, name))
    return len(old)
