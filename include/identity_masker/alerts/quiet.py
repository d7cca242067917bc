"""Quiet hours: until when an alert is held back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from identity_masker.alerts.config import QuietHours


def held_until(quiet: QuietHours | None, now: datetime) -> datetime | None:
    """The end (UTC) of the quiet hours that `now` falls into; None when it falls into none.

    The clock of the zone decides, so the hours move with daylight saving.
    """
    if quiet is None:
        return None
    zone = ZoneInfo(quiet.zone)
    local = now.astimezone(zone)
    clock = local.time()
    if quiet.since < quiet.until:
        inside, tomorrow = quiet.since <= clock < quiet.until, False
    else:
        inside, tomorrow = clock >= quiet.since or clock < quiet.until, clock >= quiet.since
    if not inside:
        return None
    day = local.date() + timedelta(days=int(tomorrow))
    end = datetime.combine(day, quiet.until, zone).astimezone(UTC)
    # In the hour that a change of clocks repeats, the first `until` may be past already.
    return end if end > now else datetime.combine(day, quiet.until.replace(fold=1), zone).astimezone(UTC)
