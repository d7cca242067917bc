"""Fleets in threads and processes, and what they do.

`python -m tests.integration.fleet_processes fleet URL FOLDER PORT` runs a fleet of real model servers, whose
masker needs no network: `… server --version V …`. A fleet in a thread runs the light ones of `light_server`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.unit.serving.support import served_model

from identity_masker.serving import fleet
from identity_masker.serving.control import Control, Endpoint
from identity_masker.serving.replica import FleetConfig
from identity_masker.serving.serve import ServeOptions, serve
from identity_masker.telemetry import logs

PROJECT = Path(__file__).resolve().parents[2]
LIGHT = Path(__file__).with_name("light_server.py")
MODULE = (sys.executable, "-m", "tests.integration.fleet_processes")
SMALL_SERVERS = (*MODULE, "server")


def fleet_config(url: str, folder: Path, port: int, serve: tuple[str, ...]) -> FleetConfig:
    return FleetConfig(
        owner="test",
        control_url=url,
        folder=folder,
        first_port=port,
        serve=serve,
        poll_seconds=0.1,
        probe_seconds=0.7,
        smoke_seconds=5,
        drain_seconds=0.3,
        longest_pause=1.0,
    )


def main() -> None:
    logs.configure(level="INFO", correlation_id="", stream=sys.stderr, json_lines=True)
    if sys.argv[1] == "fleet":
        url, folder, port = sys.argv[2:]
        asyncio.run(fleet.run(fleet_config(url, Path(folder), int(port), SMALL_SERVERS)))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    for name in ("version", "host", "report"):
        parser.add_argument(f"--{name}")
    for name, kind in (("port", int), ("parent", int), ("drain-seconds", float), ("grace-seconds", float)):
        parser.add_argument(f"--{name}", type=kind)
    options = vars(parser.parse_args())
    version = options.pop("version")
    del options["server"]
    serve(ServeOptions.model_validate(options), lambda: served_model(version=version))


@contextmanager
def fleet_process(url: str, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A running fleet; stopped by SIGTERM at the end, if it still runs."""
    with subprocess.Popen([*MODULE, "fleet", url, str(folder), str(port)], cwd=PROJECT) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


@contextmanager
def fleet_thread(
    url: str, folder: Path, port: int, serve: tuple[str, ...] = (sys.executable, "-S", str(LIGHT))
) -> Iterator[None]:
    """A fleet in a thread of this process: what it does is the same, and it starts at once."""
    config, started = fleet_config(url, folder, port, serve), threading.Event()
    stop: list[Callable[[], object]] = []

    async def run(control: Control) -> None:
        one = fleet.Fleet(config, control)
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(one.stop))
        started.set()
        await one.run()

    def main() -> None:
        with fleet.alone(folder), Control(url) as control:
            asyncio.run(run(control))

    thread = threading.Thread(target=main)
    thread.start()
    try:
        assert started.wait(10)
        yield
    finally:
        stop[0]()
        thread.join(20)
        assert not thread.is_alive()


def free_ports(count: int = 8) -> int:
    """The first of `count` ports in a row on which nothing listens."""
    for first in range(21_000 + os.getpid() % 5000, 60_000, 17):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def until(control: Control, true: Callable[[list[Endpoint]], bool], seconds: float = 60.0) -> list[Endpoint]:
    """The endpoints once they are as wanted."""
    deadline = time.monotonic() + seconds
    while True:
        endpoints = control.endpoints()
        if true(endpoints):
            return endpoints
        assert time.monotonic() < deadline, endpoints
        time.sleep(0.02)


def all_ready(count: int) -> Callable[[list[Endpoint]], bool]:
    return lambda endpoints: [e.state for e in endpoints] == ["ready"] * count


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def until_dead(pid: int, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
