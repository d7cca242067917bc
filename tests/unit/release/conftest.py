from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.release.world import World

from identity_masker.serving.control import Control


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Control(f"sqlite:///{tmp_path}/control.db") as control:
        yield World(tmp_path, control)
