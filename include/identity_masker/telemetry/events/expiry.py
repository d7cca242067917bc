"""What is kept for a limited time: masked example pictures, and pictures that came in and were kept with consent."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from identity_masker import artifacts

_DAY = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


def expire(folder: str, days: int, now: datetime) -> int:
    """Remove the days `date=YYYY-MM-DD` (UTC) under `folder` that ended more than `days` days ago; how many went."""
    first = now.astimezone(UTC).date() - timedelta(days=days)
    named = ((name, _DAY.fullmatch(name)) for name in artifacts.names(folder))
    old = [name for name, match in named if match and date.fromisoformat(match[1]) < first]
    for name in old:
        artifacts.remove(artifacts.join(folder, name))
    return len(old)
