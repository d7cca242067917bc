"""The option `--since`: an age or a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from identity_masker.errors import BadInputError

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def start_of(since: str) -> datetime:
    """The time that `since` means: an age (30m, 12h, 7d) or an ISO time. Raises `BadInputError`."""
    if age := re.fullmatch(r"(\d{1,6})([mhd])", since):
        return datetime.now(UTC) - timedelta(**{UNITS[age[2]]: int(age[1])})
    try:
        time = datetime.fromisoformat(since)
    except ValueError as error:
        raise BadInputError(
            "--since is neither an age nor a time", got=since, allowed="30m, 12h, 7d or 2026-03-01T12:00"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
