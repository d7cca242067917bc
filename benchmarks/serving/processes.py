"""Processes of a benchmark: their start, and the processor time and memory of each with its children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

PROJECT = Path(__file__).resolve().parents[2]


class Server(NamedTuple):
    """A running server: its first process and its address."""

    process: subprocess.Popen[str]
    url: str


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            below.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += below.get(found[-1], [])
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of the process, and of all below it that live."""
    total = 0.0
    for each in tree(pid):
        try:
            fields = Path(f"/proc/{each}/schedstat").read_text().split()
            total += (
                sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{each}/task").iterdir())
                / 1e9
            )
        except (OSError, IndexError):
            continue
        del fields
    return total


def memory_mb(pid: int) -> float:
    """Proportional memory (PSS) of the process and all below it."""
    total = 0
    for each in tree(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


@contextmanager
def server(
    command: Sequence[str], *, ready: str, url: str = "", environment: Mapping[str, str] | None = None,
    seconds: float = 180.0,
) -> Iterator[Server]:  # fmt: skip
    """Run a server; without `url` its first line of output is its address. Ready when GET `ready` is 200."""
    given = {**os.environ, **(environment or {})}
    with subprocess.Popen(
        command, cwd=PROJECT, env=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            where = url or process.stdout.readline().strip()
            _until_ready(process, where + ready, seconds)
            yield Server(process, where)
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            # Some leave processes behind, which would be in the way of the next.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_ready(process: subprocess.Popen[str], url: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError(url)
