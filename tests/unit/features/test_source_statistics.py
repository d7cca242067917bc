"""Windows over stored events: what is counted, what is not, and that no hour is counted twice or before it is whole."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from identity_masker import artifacts
from identity_masker.features import offline
from identity_masker.features.definitions import SOURCE_STATISTICS
from identity_masker.features.places import FeaturePlaces
from identity_masker.features.source_statistics import source_rows, whole_hours
from identity_masker.telemetry.event_store import COMPLETE, hour_uri

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def places(tmp_path: Path) -> FeaturePlaces:
    return FeaturePlaces(tmp_path / "home", f"file://{tmp_path}/store")


def store(places: FeaturePlaces, hour: datetime, events: list[dict[str, Any]], *, whole: bool = True) -> None:
    folder = hour_uri(places.store, "requests", hour)
    if events:
        rows = [{"status": 200, "contrast": 0.2, "sharpness": 0.1, "via": "share", **event} for event in events]
        frame = pd.DataFrame(rows).astype({"time": "datetime64[us, UTC]"})
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        artifacts.write_bytes(artifacts.join(folder, "a.parquet"), buffer.getvalue())
    if whole:
        artifacts.write_json(artifacts.join(folder, COMPLETE), {})


def seen(minutes_ago: float, source: str | None, brightness: float, **more: Any) -> dict[str, Any]:
    return {"time": NOON - timedelta(minutes=minutes_ago), "source": source, "brightness": brightness, **more}


def test_windows_hold_what_came_before_their_end_and_nothing_else(places: FeaturePlaces) -> None:
    store(places, NOON, [seen(-1, "door", 0.9)])
    store(places, NOON - timedelta(hours=1), [
        seen(5, "door", 0.4), seen(50, "door", 0.6, status=503), seen(5, "gate", 0.1), seen(5, None, 1.0),
        seen(5, "", 1.0), seen(5, "door", 1.0, via="shadow"),
    ])  # fmt: skip
    store(places, NOON - timedelta(hours=4), [seen(200, "door", 0.2)])
    rows = source_rows(places, [NOON]).set_index("source")
    assert sorted(rows.index) == ["door", "gate"]
    door = rows.loc["door"]
    assert (door["pictures_1h"], door["pictures_24h"]) == (2, 3)
    assert door["brightness_1h"] == pytest.approx(0.5)
    assert door["brightness_24h"] == pytest.approx(0.4)
    assert (door["failed_share_1h"], door["event_timestamp"]) == (0.5, pd.Timestamp(NOON))


def test_an_hour_is_counted_once_and_only_when_it_is_whole(places: FeaturePlaces) -> None:
    now = NOON + timedelta(minutes=10)
    store(places, NOON - timedelta(hours=2), [seen(100, "door", 0.4)])
    store(places, NOON - timedelta(hours=1), [seen(30, "door", 0.4)], whole=False)
    ends = whole_hours(places, now)
    assert ends[-1] == NOON - timedelta(hours=1)
    offline.append(SOURCE_STATISTICS, source_rows(places, ends), places, now)
    assert whole_hours(places, now) == []
    store(places, NOON - timedelta(hours=1), [])
    assert whole_hours(places, now) == [NOON]


def test_events_from_before_sources_were_logged_give_no_rows(places: FeaturePlaces) -> None:
    store(places, NOON - timedelta(hours=1), [{"time": NOON - timedelta(minutes=5), "brightness": 0.5}])
    assert len(source_rows(places, [NOON])) == 0
    assert len(source_rows(places, [NOON + timedelta(days=9)])) == 0
