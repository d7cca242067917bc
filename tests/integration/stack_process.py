"""A whole stack as a user starts it, `masker up`, with small sizes and on ports of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from identity_masker.settings import Settings

MASKER = str(Path(sys.executable).with_name("masker"))
PORTS = (
    "AIRFLOW", "AIRFLOW_LOG", "MLFLOW", "GATEWAY", "SERVER", "ALERTS", "FLEET", "EXPORTER", "PROMETHEUS",
    "NODE_EXPORTER", "ALERTMANAGER", "PUSHGATEWAY",
)  # fmt: skip


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    numbers = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return numbers


@dataclass
class Stack:
    """A running `masker up`."""

    process: subprocess.Popen[bytes]
    config: Settings
    environment: dict[str, str]
    output: Path

    def text(self) -> str:
        return self.output.read_text()

    def masker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [MASKER, *arguments], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )


def processes_of(home: Path) -> list[str]:
    """Command lines of all living processes whose environment names `home`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"MASKER_HOME={home}\0".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@contextmanager
def running_stack(home: Path, more: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A stack on `home` that serves a small model; `more`: variables of its environment. Stopped after the block."""
    ports = {f"MASKER_{name}_PORT": str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    chosen = {"MASKER_HOME": str(home), **ports, **(more or {})}
    environment = {**os.environ, **chosen, "AIRFLOW_VAR_MASKER_MODEL": "masker-tiny", "COLUMNS": "160"}
    output = home.parent / "output"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [MASKER, "up", "--conf", '{"images": 900}'],
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in chosen.items():
            patch.setenv(name, value)
        config = Settings()
    running = Stack(process, config, environment, output)
    try:
        wait_until_serving(running)
        yield running
    finally:
        process.terminate()
        process.wait(120)


def wait_until_serving(stack: Stack, seconds: float = 1200) -> None:
    deadline = time.monotonic() + seconds
    while "serving; Ctrl-C" not in stack.text():
        assert stack.process.poll() is None, stack.text()
        assert time.monotonic() < deadline, stack.text()
        time.sleep(1)
