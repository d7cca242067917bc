"""The stream between nights, over events of the store; a real log is in tests/integration/test_drift_reference.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tests.unit.drift.traffic import VERSION, model_reference, policy, put, requests

from identity_masker.drift.watch import Watched, watch

ROWS = 300


def watched(store: Path, via: list[str | None]) -> Watched:
    """What is seen of a day in which the second half of the pictures is darker; `via` by request."""
    model_reference()
    since = datetime.now(UTC) - timedelta(days=2)
    darker = [0.0] * (ROWS // 2) + [3.0] * (ROWS // 2)
    put(store, "requests", requests(np.random.default_rng(4), since, ROWS, darker=darker, via=via))
    return watch(VERSION, "1.0.0", store / "no-log", str(store), since, policy())


def test_darker_pictures_are_seen_whichever_way_they_came(drift_store: Path) -> None:
    found = watched(drift_store, ["share", None] * (ROWS // 2))
    assert found.rows == ROWS
    assert found.drift
    assert found.strongest["brightness"] < 0


def test_copies_for_a_shadow_are_not_watched(drift_store: Path) -> None:
    found = watched(drift_store, ["share"] * (ROWS // 2) + ["shadow"] * (ROWS // 2))
    assert (found.rows, found.drift) == (ROWS // 2, False)
