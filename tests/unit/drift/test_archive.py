from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from identity_masker.drift.archive import period, window_uri
from identity_masker.errors import BadInputError

NOW = datetime(2026, 11, 5, 2, 30, tzinfo=UTC)


def test_without_times_it_is_the_day_before() -> None:
    assert period(None, None, None, NOW) == (datetime(2026, 11, 4, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC))


def test_a_night_is_a_day_from_midnight() -> None:
    found = period(None, None, date(2026, 10, 31), NOW)
    assert found == (datetime(2026, 10, 31, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))


def test_times_without_a_zone_are_utc_and_others_become_it() -> None:
    start = datetime(2026, 11, 4, 8, tzinfo=timezone(timedelta(hours=2)))
    assert period(start, datetime(2026, 11, 4, 7), None, NOW) == (
        datetime(2026, 11, 4, 6, tzinfo=UTC),
        datetime(2026, 11, 4, 7, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("start", "end", "night", "words"),
    [
        (NOW, None, None, "a start and an end"),
        (None, NOW, None, "a start and an end"),
        (NOW, NOW, None, "the window is empty"),
        (NOW, NOW - timedelta(hours=1), None, "the window is empty"),
        (NOW, NOW, date(2026, 11, 1), "exclude each other"),
    ],
)
def test_what_is_no_window_is_refused(
    start: datetime | None, end: datetime | None, night: date | None, words: str
) -> None:
    with pytest.raises(BadInputError, match=words):
        period(start, end, night, NOW)


def test_windows_have_folders_of_their_own() -> None:
    first = window_uri("3", NOW, NOW + timedelta(hours=1))
    assert first.endswith("/drift/3/windows/20261105T023000Z--20261105T033000Z")
