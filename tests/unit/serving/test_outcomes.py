from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.serving.outcomes import rows
from identity_masker.serving.problem import HttpError
from identity_masker.telemetry.events.kinds import checked

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)


def body(*events: object) -> bytes:
    return json.dumps({"events": events}).encode()


@given(st.lists(st.tuples(NAMES, st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=10))
def test_valid_events_are_rows_of_the_log(given: list[tuple[str, float]]) -> None:
    found = rows(body(*({"name": name, "value": value} for name, value in given)), "u", NOW)
    assert [(row["name"], row["value"], row["unit"], row["time"]) for row in found] == [
        (name, value, "u", NOW) for name, value in given
    ]
    assert len({row["event_id"] for row in found}) == len(given)
    assert all(checked("outcomes", row) for row in found)


@given(st.binary(max_size=100))
def test_noise_is_refused_as_such(content: bytes) -> None:
    with pytest.raises(HttpError) as refused:
        rows(content, "u", NOW)
    assert refused.value.status == 422


def test_the_same_id_is_the_same_event_of_one_user() -> None:
    event = body({"name": "kept", "value": 1, "event_id": "e"})
    first, again, other = (rows(event, unit, NOW)[0]["event_id"] for unit in ("u", "u", "v"))
    assert first == again != other


@pytest.mark.parametrize("count", [0, 1001])
def test_the_number_of_events_is_bounded(count: int) -> None:
    with pytest.raises(HttpError, match="events"):
        rows(body(*[{"name": "kept", "value": 1}] * count), "u", NOW)


@pytest.mark.parametrize(("ahead", "taken"), [(59, True), (61, False)])
def test_a_clock_may_be_a_minute_fast(ahead: int, taken: bool) -> None:
    event = body({"name": "kept", "value": 1, "time": (NOW + timedelta(seconds=ahead)).isoformat()})
    if taken:
        assert rows(event, "u", NOW)
    else:
        with pytest.raises(HttpError, match="in the future"):
            rows(event, "u", NOW)


def test_a_time_of_another_zone_is_stored_in_utc() -> None:
    event = body({"name": "kept", "value": 1, "time": "2026-03-01T13:30:00+02:00"})
    assert rows(event, "u", NOW)[0]["time"] == datetime(2026, 3, 1, 11, 30, tzinfo=UTC)
