"""The event store in an object store: a real S3 API over HTTP, from moto's server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
import s3fs
from moto.server import ThreadedMotoServer
from tests.unit.telemetry.events.samples import NOON, outcome

from identity_masker import artifacts
from identity_masker.telemetry import event_store
from identity_masker.telemetry.events import EventLog, compact
from identity_masker.telemetry.events.hour_files import rows_of
from identity_masker.telemetry.events.reading import newest

pytestmark = pytest.mark.filterwarnings(
    # What s3fs and its dependencies do in use.
    "ignore:unclosed:ResourceWarning"
)
STORE = "s3://events/store"
NOW = NOON + timedelta(hours=22, minutes=30)


@pytest.fixture(autouse=True)
def _bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    # File systems remember the endpoint that they were made with.
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket="events")
    yield
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_events_are_compacted_found_and_shown(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for ids in ("ab", "bc"):
        with EventLog(folder, clock=lambda: NOW) as log:
            log.writer("outcomes").append_all([outcome(NOON, ids[0]), outcome(NOON + timedelta(hours=1), ids[1])])
        compact(folder, STORE, NOW + timedelta(hours=2))
    files = event_store.files(STORE, "outcomes", NOON, NOON + timedelta(hours=2))
    assert [file.split("/hour=")[0] for file in files] == [f"{STORE}/events/outcomes/date=2026-03-01"] * 2
    artifacts.get_file(files[1], tmp_path / "file.parquet")
    assert rows_of(tmp_path / "file.parquet") == 2
    shown = newest(folder, STORE, "outcomes", NOON, 10)
    assert [event["event_id"] for event in shown] == ["c", "a", "b"]
    hour = event_store.hour_of(NOW)
    assert event_store.missing_hours(STORE, "requests", hour, hour + timedelta(hours=9))[0] > hour
