from __future__ import annotations

import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from identity_masker.serving.control import Deployment, Endpoint, EndpointState
from identity_masker.serving.fleet_measures import TARGETS, FleetMeasures


class Seen:
    """Measures and what they show."""

    def __init__(self, folder: Path) -> None:
        self.registry = CollectorRegistry()
        self.measures = FleetMeasures(self.registry, folder)
        self.file = folder / TARGETS

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def endpoint(self, state: EndpointState, restarts: int = 0, slot: str = "1-0", port: int = 8100) -> None:
        self.measures.seen(
            Endpoint(
                owner="t", slot=slot, version="1", url=f"http://127.0.0.1:{port}", pid=1, state=state, restarts=restarts
            )
        )


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path)


def test_servers_are_counted_by_state_and_those_that_are_gone_are_not(seen: Seen) -> None:
    seen.endpoint("ready")
    seen.endpoint("starting", slot="1-1", port=8101)
    assert seen.value("masker_fleet_servers", version="1", state="ready") == 1
    assert seen.value("masker_fleet_servers", version="1", state="starting") == 1
    seen.measures.gone("1-1")
    assert seen.value("masker_fleet_servers", version="1", state="starting") is None


def test_restarts_and_ends_are_counted_once_however_often_a_state_is_recorded(seen: Seen) -> None:
    seen.measures.wanted([Deployment(version="1", semver="1.0.0", replicas=1)])
    assert seen.value("masker_fleet_restarts_total", version="1") == 0
    for state, restarts in (("starting", 0), ("ready", 0), ("ready", 0), ("failed", 0), ("starting", 1), ("ready", 1)):
        seen.endpoint(state, restarts)
        seen.endpoint(state, restarts)
    assert seen.value("masker_fleet_restarts_total", version="1") == 1
    assert seen.value("masker_fleet_server_ends_total", version="1", state="failed") == 1
    assert seen.value("masker_fleet_server_start_seconds_count", version="1") == 2


def test_the_file_for_prometheus_lists_every_server_and_is_written_on_change_only(seen: Seen) -> None:
    seen.endpoint("starting")
    seen.endpoint("starting", slot="2-0", port=8101)
    assert json.loads(seen.file.read_text()) == [
        {"targets": ["127.0.0.1:8100"], "labels": {"slot": "1-0"}},
        {"targets": ["127.0.0.1:8101"], "labels": {"slot": "2-0"}},
    ]
    before = seen.file.stat().st_mtime_ns, seen.file.stat().st_ino
    seen.endpoint("ready")
    assert (seen.file.stat().st_mtime_ns, seen.file.stat().st_ino) == before
    seen.measures.gone("2-0")
    assert len(json.loads(seen.file.read_text())) == 1


def servers(*states: EndpointState, restarts: int = 0) -> list[Endpoint]:
    """One server a state, as a look at a cluster finds them."""
    return [
        Endpoint(
            owner="t", slot=f"pod-{at}", version="1", url=f"http://10.0.0.{at}:8100", pid=1, state=state,
            restarts=restarts,
        )
        for at, state in enumerate(states)
    ]  # fmt: skip


def test_of_a_look_at_all_servers_those_that_are_missing_are_gone(seen: Seen) -> None:
    seen.measures.all_seen(servers("ready", "ready", "starting"))
    seen.measures.all_seen(servers("ready", "ready"))
    assert seen.value("masker_fleet_servers", version="1", state="ready") == 2
    assert seen.value("masker_fleet_servers", version="1", state="starting") is None


def test_restarts_before_a_fleet_first_looked_are_not_its_own(seen: Seen) -> None:
    seen.measures.wanted([Deployment(version="1", semver="1.0.0", replicas=1)])
    seen.measures.all_seen(servers("ready", restarts=5))
    assert seen.value("masker_fleet_restarts_total", version="1") == 0
    assert seen.value("masker_fleet_server_start_seconds_count", version="1") is None
    seen.measures.all_seen(servers("ready", restarts=6))
    assert seen.value("masker_fleet_restarts_total", version="1") == 1
    assert seen.value("masker_fleet_server_ends_total", version="1", state="failed") == 1


def test_without_a_folder_no_file_is_written(tmp_path: Path) -> None:
    measures = FleetMeasures(CollectorRegistry(), None)
    measures.all_seen(servers("ready"))
    assert list(tmp_path.iterdir()) == []
