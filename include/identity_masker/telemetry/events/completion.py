"""The mark of a whole hour: how many events its files hold, and their hash."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import datetime
from pathlib import Path

from identity_masker import artifacts
from identity_masker.telemetry import event_store
from identity_masker.telemetry.events.hour_files import rows_of
from identity_masker.telemetry.events.kinds import Kind


def mark(store: str, kind: Kind, hour: datetime) -> None:
    """Write `_complete.json` for what the store holds of the hour; an hour without events is whole too."""
    digest, events = hashlib.sha256(), 0
    for uri in event_store.files(store, kind, hour, hour + event_store.HOUR):
        with tempfile.TemporaryDirectory() as folder:
            path = _at_hand(uri, Path(folder))
            events += rows_of(path)
            with path.open("rb") as file:
                while chunk := file.read(artifacts.CHUNK_BYTES):
                    digest.update(chunk)
    target = artifacts.join(event_store.hour_uri(store, kind, hour), event_store.COMPLETE)
    artifacts.write_json(target, {"events": events, "sha256": digest.hexdigest()})


def _at_hand(uri: str, folder: Path) -> Path:
    if artifacts.is_local(uri):
        return Path(uri)
    target = folder / "stored.parquet"
    artifacts.get_file(uri, target)
    return target
