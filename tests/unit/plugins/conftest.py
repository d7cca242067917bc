from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.plugins.processes import written_pids

from identity_masker.settings import settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A `MASKER_HOME` of its own for each test, and none of the developer's settings."""
    for name in [name for name in os.environ if name.startswith("MASKER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MASKER_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


@pytest.fixture
def family(tmp_path: Path) -> tuple[str, Callable[[], list[int]]]:
    """A shell script that starts a child and a child in a session of its own and waits; and the three pids."""
    file = tmp_path / "pids"
    member = f"echo $$ >> {file}; exec sleep 300"
    script = f"setsid sh -c '{member}' & sh -c '{member}' & {member}"
    return script, lambda: written_pids(file, count=3)
