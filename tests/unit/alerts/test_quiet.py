from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from identity_masker.alerts.config import QuietHours
from identity_masker.alerts.quiet import held_until

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe"]
CLOCK = st.times().map(lambda t: t.replace(second=0, microsecond=0))
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
BERLIN = QuietHours(zone="Europe/Berlin", since=time(22), until=time(7))


@given(MOMENTS, CLOCK, CLOCK, st.sampled_from(ZONES))
def test_what_is_held_comes_out_when_the_zones_clock_says_so(
    now: datetime, since: time, until: time, zone: str
) -> None:
    assume(since != until)
    quiet = QuietHours(zone=zone, since=since, until=until)
    clock = now.astimezone(ZoneInfo(zone)).time()
    inside = since <= clock < until if since < until else not until <= clock < since
    end = held_until(quiet, now)
    assert (end is not None) == inside
    if end is not None:
        assert now < end <= now + timedelta(hours=25, minutes=30)
        back = end.astimezone(ZoneInfo(zone))
        skipped = back.replace(tzinfo=None) != back.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert back.time() == until or skipped or _in_a_gap(back, until)


def _in_a_gap(end: datetime, until: time) -> bool:
    """Clocks were put forward over `until` on that day, so there was no such time."""
    naive = datetime.combine(end.date(), until)
    there = naive.replace(tzinfo=end.tzinfo)
    return there.astimezone(UTC).astimezone(end.tzinfo).replace(tzinfo=None) != naive


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-01-10T21:30:00+00:00", "2026-01-11T06:00:00+00:00"),
        ("2026-01-11T02:00:00+00:00", "2026-01-11T06:00:00+00:00"),
        ("2026-01-11T06:00:00+00:00", None),
        ("2026-07-10T20:30:00+00:00", "2026-07-11T05:00:00+00:00"),
        # The night in which clocks go forward.
        ("2026-03-28T22:00:00+00:00", "2026-03-29T05:00:00+00:00"),
    ],
)
def test_quiet_hours_over_midnight_end_in_the_morning(now: str, end: str | None) -> None:
    found = held_until(BERLIN, datetime.fromisoformat(now))
    assert (found.isoformat() if found else None) == end


def test_without_quiet_hours_nothing_is_held() -> None:
    assert held_until(None, datetime.now(UTC)) is None
