"""The target `kubernetes` keeps the contract of targets: pods of the serving image, with the fleet's own rights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.cluster.serving_stage import TAMPERED, Place, fleet_thread, kill, place
from tests.integration.target_contract import TargetContract

from identity_masker.release.target import FleetTarget
from identity_masker.serving.control import Control, Endpoint


class ClusterWorld:
    refusing = (TAMPERED, "not the ones that were registered")
    patience = 400.0

    def __init__(self, where: Place, control: Control, url: str) -> None:
        self.control, self.target = control, FleetTarget(control)
        self._place, self._url = where, url

    def kill_one(self, endpoint: Endpoint) -> None:
        kill(self._place, endpoint.slot)

    def another_fleet(self) -> AbstractContextManager[None]:
        return fleet_thread(self._place, self._url, self._place.blueprint())


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place")) as made:
        yield made


class TestKubernetes(TargetContract):
    @pytest.fixture
    def world(self, where: Place, tmp_path: Path) -> Iterator[ClusterWorld]:
        url = f"sqlite:///{tmp_path}/control.db"
        with where.emptied(), Control(url) as control, fleet_thread(where, url, where.blueprint()):
            yield ClusterWorld(where, control, url)
