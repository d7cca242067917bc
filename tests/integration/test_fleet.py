"""The fleet with real model-server processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.fleet_processes import (
    PROJECT,
    alive,
    all_ready,
    fleet_process,
    fleet_thread,
    free_ports,
    until,
    until_dead,
)
from tests.unit.serving.test_deploy import endpoint as made_endpoint

from identity_masker.serving.control import Control, Deployment, Endpoint


class World:
    def __init__(self, folder: Path, control: Control, port: int) -> None:
        self.folder = folder / "fleet"
        self.url = f"sqlite:///{folder}/control.db"
        self.control = control
        self.port = port

    def want(self, version: str, replicas: int = 1) -> None:
        self.control.deploy(
            Deployment(version=version, semver=f"{version}.0.0", replicas=replicas), author="test", reason="test"
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Control(f"sqlite:///{tmp_path}/control.db") as control:
        yield World(tmp_path, control, free_ports())


@pytest.fixture
def fleet(world: World) -> Iterator[None]:
    with fleet_thread(world.url, world.folder, world.port):
        yield


@pytest.mark.usefixtures("fleet")
def test_what_is_wanted_is_started_proven_and_what_is_not_is_drained(world: World) -> None:
    world.want("1", replicas=2)
    first, second = until(world.control, all_ready(2))
    assert (first.slot, second.slot) == ("1-0", "1-1")
    assert {first.url, second.url} == {f"http://127.0.0.1:{world.port + n}" for n in range(2)}

    world.want("1", replicas=1)
    states: set[str] = set()

    def one_is_left(endpoints: list[Endpoint]) -> bool:
        states.update(endpoint.state for endpoint in endpoints)
        return len(endpoints) == 1

    until(world.control, one_is_left)
    assert "draining" in states
    until_dead(second.pid)
    assert alive(first.pid)

    world.want("1", replicas=0)
    world.want("2")
    until(world.control, lambda endpoints: [e.version for e in endpoints if e.state == "ready"] == ["2"])
    until_dead(first.pid)


@pytest.mark.usefixtures("fleet")
def test_a_server_that_is_killed_or_hangs_is_started_again_on_its_port(world: World) -> None:
    world.want("1")
    (first,) = until(world.control, all_ready(1))
    os.kill(first.pid, signal.SIGKILL)
    (second,) = until(world.control, lambda e: bool(e) and e[0].pid != first.pid and e[0].state == "ready")
    assert (second.url, second.restarts) == (first.url, 1)
    os.kill(second.pid, signal.SIGSTOP)
    (third,) = until(world.control, lambda e: bool(e) and e[0].pid != second.pid and e[0].state == "ready")
    until_dead(second.pid)
    assert third.restarts == 2


@pytest.mark.usefixtures("fleet")
def test_why_a_server_does_not_stay_up_is_recorded_and_it_is_tried_again(world: World) -> None:
    reasons = {
        "refused": ("refused", "it was refused"),
        "unlucky": ("failed", "it was unlucky"),
        "crashes": ("failed", "exit code 7"),
        "short-lived": ("failed", "exit code 3"),
        "weak": ("failed", "the test picture got status 500"),
        "shrinks": ("failed", "not a masked picture of its size"),
    }
    for version in reasons:
        world.want(version)
    seen: dict[str, tuple[str, str]] = {}

    def all_seen(endpoints: list[Endpoint]) -> bool:
        seen.update({e.version: (e.state, e.detail) for e in endpoints if e.state in ("failed", "refused")})
        return seen.keys() == reasons.keys() and all(e.restarts >= 1 for e in endpoints)

    until(world.control, all_seen)
    for version, (state, words) in reasons.items():
        assert seen[version][0] == state
        assert words in seen[version][1]


def test_a_port_that_is_taken_is_passed_over(world: World) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", world.port))
        other.listen()
        with fleet_thread(world.url, world.folder, world.port):
            world.want("1")
            (endpoint,) = until(world.control, all_ready(1))
            assert endpoint.url == f"http://127.0.0.1:{world.port + 1}"


def test_a_stopped_fleet_leaves_no_process_and_no_endpoint(world: World) -> None:
    world.want("1", replicas=2)
    with fleet_process(world.url, world.folder, world.port) as process:
        endpoints = until(world.control, all_ready(2))
        assert httpx.get(f"{endpoints[0].url}/metrics").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert [alive(endpoint.pid) for endpoint in endpoints] == [False, False]
    assert world.control.endpoints() == []


def test_a_fleet_that_is_killed_takes_its_servers_along_and_the_next_starts_clean(world: World) -> None:
    with fleet_process(world.url, world.folder, world.port) as process:
        world.want("1")
        (orphan,) = until(world.control, all_ready(1))
        process.kill()
        process.wait(5)
    until_dead(orphan.pid)
    assert [e.pid for e in world.control.endpoints()] == [orphan.pid]  # nobody was left to forget it
    with fleet_thread(world.url, world.folder, world.port):
        (after,) = until(world.control, lambda e: bool(e) and e[0].pid != orphan.pid and e[0].state == "ready")
        assert after.url == orphan.url


def test_a_leftover_server_is_ended_and_a_stranger_with_its_number_is_not(world: World) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen([*sleep, "--parent", "1", "--report", "x"]) as leftover, subprocess.Popen(sleep) as stranger:
        try:
            time.sleep(0.3)
            for slot, process in (("1-0", leftover), ("1-1", stranger)):
                world.control.record_endpoint(made_endpoint(slot=slot, pid=process.pid))
            with fleet_thread(world.url, world.folder, world.port):
                until(world.control, lambda endpoints: endpoints == [])
            assert leftover.wait(5) == -signal.SIGTERM
            assert stranger.poll() is None
        finally:
            leftover.kill()
            stranger.kill()


def test_servers_go_on_while_the_control_database_is_away(world: World, tmp_path: Path) -> None:
    with fleet_thread(world.url, world.folder, world.port):
        world.want("1")
        (endpoint,) = until(world.control, all_ready(1))
        for file in tmp_path.glob("control.db*"):
            file.write_bytes(b"this is no database" * 1000)
        time.sleep(2.0)
        assert httpx.get(f"{endpoint.url}/health/ready").status_code == 200


def test_a_second_fleet_in_the_same_home_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "MASKER_HOME": str(tmp_path), "MASKER_SERVER_PORT": str(free_ports())}
    command = [sys.executable, "-m", "identity_masker.cli", "fleet", "--json"]
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout is not None
            assert b'"first_port"' in first.stdout.readline()
            deadline = time.monotonic() + 10
            while not (tmp_path / "fleet" / "lock").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            time.sleep(0.3)
            second = subprocess.run(
                command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=30, check=False
            )
            assert second.returncode == 2
            assert f"process {first.pid} holds" in second.stderr
        finally:
            first.send_signal(signal.SIGINT)
        assert first.wait(10) == 0
