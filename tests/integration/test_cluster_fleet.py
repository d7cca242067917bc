"""What the fleet of pods survives: an API that fails in any way, and a control database that is locked."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.integration.cluster_api import TROUBLES, Api, Document, pod, serving
from tests.integration.fleet_processes import LIGHT, free_ports, until

from identity_masker.errors import TemporaryError
from identity_masker.serving import schema
from identity_masker.serving.cluster import api as cluster_api
from identity_masker.serving.cluster.api import Cluster
from identity_masker.serving.cluster.blueprint import Blueprint
from identity_masker.serving.cluster.fleet import ClusterFleet, ClusterFleetConfig
from identity_masker.serving.cluster.pods import Pods
from identity_masker.serving.control import Control, Deployment

TROUBLED_CALLS = 6
PODS = {"image": "none", "requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a model server, which stands in for the one in the pod."""
    free = free_ports()
    command = [sys.executable, "-S", str(LIGHT), "--version", "1", "--host", "127.0.0.1", "--port", str(free)]
    with subprocess.Popen(command) as process:
        yield free
        process.terminate()


class Desk:
    """A fleet that runs, its cluster's API and its database."""

    def __init__(self, folder: Path, port: int, api: Api, kubeconfig: str) -> None:
        self.api, self.database = api, folder / "control.db"
        self.control = Control(f"sqlite:///{self.database}")
        self.control.deploy(Deployment(version="1", semver="1.0.1", replicas=1), author="test", reason="test")
        self._cluster = Cluster("masker", kubeconfig)
        self._blueprint = Blueprint(Pods.model_validate(PODS | {"port": port}), "none", {})
        self._running, self._thread = threading.Event(), threading.Thread(target=self._fleet)

    def _fleet(self) -> None:
        async def run() -> None:
            config = ClusterFleetConfig(poll_seconds=0.05)
            self._loop = asyncio.get_running_loop()
            self._one = ClusterFleet(config, self._blueprint, self._cluster, self.control)
            self._running.set()
            await self._one.run()

        asyncio.run(run())

    def __enter__(self) -> Desk:
        self._thread.start()
        assert self._running.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.lives, "the fleet has ended"
        self._loop.call_soon_threadsafe(self._one.stop)
        self._thread.join(30)
        self._cluster.close()
        self.control.close()

    @property
    def lives(self) -> bool:
        return self._thread.is_alive()

    def until(self, *states: str) -> None:
        until(self.control, lambda endpoints: not self.lives or [e.state for e in endpoints] == list(states))
        assert self.lives, "the fleet has ended"


@pytest.fixture
def desk(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(cluster_api, "SECONDS", (0.3, 0.3))
    monkeypatch.setattr(schema, "_BUSY_SECONDS", 0.1)
    with serving(tmp_path) as (api, kubeconfig):
        api.pods = [pod("1")]
        with Desk(tmp_path, port, api, kubeconfig) as made:
            made.until("ready")
            yield made


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_api_that_fails_takes_neither_the_fleet_nor_its_servers_down(desk: Desk, trouble: str) -> None:
    desk.api.trouble, before = trouble, desk.api.failed
    deadline = time.monotonic() + 30
    while desk.lives and desk.api.failed < before + TROUBLED_CALLS:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    desk.until("ready")
    desk.api.pods, desk.api.trouble = [], ""
    desk.until()


def test_a_database_that_is_locked_does_not_take_the_fleet_down(desk: Desk) -> None:
    with sqlite3.connect(desk.database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        desk.api.pods = [pod("1", ready=False)]  # news that cannot be written
        time.sleep(1)
        assert desk.lives, "the fleet has ended"
        desk.until("ready")
        other.execute("ROLLBACK")
    other.close()
    desk.until("starting")


@pytest.mark.parametrize("answer", [{"kind": "Status"}, {"groups": None}, {"groups": ["policy"]}, {"groups": [{}]}])
def test_api_groups_that_are_none_are_asked_for_again(
    tmp_path: Path, answer: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as (api, kubeconfig), closing(Cluster("masker", kubeconfig)) as cluster:
        with monkeypatch.context() as patch:
            patch.setattr(api, "answer", lambda *_: answer)
            with pytest.raises(TemporaryError, match="not the API of a cluster"):
                _ = cluster.budget_api
        assert cluster.budget_api == "policy/v1"
