"""Blue-green and rolling with the processes of a local fleet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.strategy_drills import StrategyDrills
from tests.integration.test_release import Stage
from tests.integration.test_serving import untrained

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]


class TestLocal(StrategyDrills):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        with ExitStack() as stack:
            yield Stage(tmp_path, untrained(tmp_path / "model", seed=0), stack)
