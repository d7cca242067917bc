from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.unit.telemetry.events.samples import stored

from identity_masker.settings import PROJECT
from identity_masker.telemetry.events import compact

ROUNDS = 24


def test_kills_of_writers_and_compactors_neither_lose_nor_double_an_event(tmp_path: Path) -> None:
    folder, store, acknowledged = (tmp_path / name for name in ("log", "store", "acknowledged"))
    command = [sys.executable, "-m", "tests.unit.telemetry.events.drill"]
    subprocess.run([*command, str(folder), str(store), str(acknowledged), str(ROUNDS)], cwd=PROJECT, check=True)
    before = len(stored(store, "outcomes"))
    compact(folder, str(store), datetime.now(UTC))
    expected = set(acknowledged.read_text().split())
    found = [row["event_id"] for row in stored(store, "outcomes")]
    assert len(expected) > 20 * ROUNDS
    assert before > 0
    assert len(found) == len(set(found))
    assert expected <= set(found)
    # An event that was appended and not yet acknowledged when its writer was killed: one a writer at most.
    assert len(found) - len(expected) <= 2 * ROUNDS
    assert not list(folder.glob("*/*"))
