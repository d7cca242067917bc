from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from identity_masker.settings import settings


@pytest.fixture
def drift_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty store that the settings name."""
    monkeypatch.setenv("MASKER_STORE_URI", str(tmp_path / "store"))
    settings.cache_clear()
    yield tmp_path / "store"
    settings.cache_clear()
