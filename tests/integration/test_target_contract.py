"""The target `local` keeps the contract of targets: a fleet of processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from tests.integration.fleet_processes import fleet_thread, free_ports
from tests.integration.target_contract import TargetContract

from identity_masker.release.target import FleetTarget
from identity_masker.serving.control import Control, Endpoint


class LocalWorld:
    """One fleet: a second one in its folder is refused, which test_fleet.py shows."""

    refusing = ("refused", "it was refused")
    patience = 60.0

    def __init__(self, control: Control) -> None:
        self.control, self.target = control, FleetTarget(control)

    def kill_one(self, endpoint: Endpoint) -> None:
        os.kill(endpoint.pid, signal.SIGKILL)

    def another_fleet(self) -> AbstractContextManager[None]:
        return nullcontext()


class TestLocal(TargetContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[LocalWorld]:
        url = f"sqlite:///{tmp_path}/control.db"
        with Control(url) as control, fleet_thread(url, tmp_path / "fleet", free_ports()):
            yield LocalWorld(control)
