"""Real services on this machine for the pods to talk to, each in a session of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

BIN = Path(sys.executable).parent


class Service:
    """A process that can be stopped, or killed with everything it started, and started again."""

    def __init__(self, name: str, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name, self.command, self.log, self.environment = name, command, log, dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for the end that `terminate` asked for; after `seconds` make it."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to every process of the session, as when the machine loses power."""
        if self._process is None:
            return
        for pid in _session(self._process.pid):
            _send(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def check(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"{self.name} ended with {self._process.returncode}:\n{tail}")


def stop(*services: Service) -> None:
    """Stop all at once: each is told before the first is waited for."""
    for service in services:
        service.terminate()
    for service in services:
        service.wait(20)


@contextmanager
def running(*services: Service) -> Iterator[None]:
    """All `services` run inside the block."""
    for service in services:
        service.start()
    try:
        yield
    finally:
        stop(*services)


def _session(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
        except ProcessLookupError:
            continue
    return found


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))  # noqa: S104 - pods have to reach it
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: str, condition: Callable[[], bool], *, within: float, pause: float = 0.5) -> None:
    """Block until `condition` holds; `AssertionError` after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within:.0f} s")
        time.sleep(pause)


def accepts(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
