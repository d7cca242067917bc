"""Three times the requests that a server can answer: what gets through, how fast, and what it costs in memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.serving import open_loop, payloads, servers, wrk
from benchmarks.serving.artifact import untrained
from benchmarks.serving.processes import memory_mb
from benchmarks.serving.servers import OURS
from benchmarks.serving.tables import load_line, table

TIMES = 3.0


def run(seconds: float) -> None:
    """Measure the capacity with a closed loop, then offer three times as much, then one request after the other."""
    payload = payloads.portrait()
    with tempfile.TemporaryDirectory() as temporary, servers.running(OURS, untrained(Path(temporary))) as server:
        url = server.url + OURS.path
        wrk.run(url, *payload, connections=32, seconds=2)
        capacity = wrk.run(url, *payload, connections=32, seconds=max(5.0, seconds / 10)).rate
        memories = [memory_mb(server.process.pid)]
        process = open_loop.start(url, TIMES * capacity, seconds)
        while process.poll() is None and len(memories) * 5 < seconds:
            time.sleep(5)
            memories.append(memory_mb(server.process.pid))
        found = open_loop.outcome(process)
        after = wrk.run(url, *payload, connections=1, seconds=2)
    steady = found.accepted[1:]
    rows = [
        ("capacity, 32 connections, pictures/s", capacity),
        ("offered, pictures/s", TIMES * capacity),
        ("masked, pictures/s", statistics.fmean(steady)),
        ("share of the capacity", f"{100 * statistics.fmean(steady) / capacity:.0f} %"),
        ("share in the worst ten seconds", f"{100 * _worst(steady) / capacity:.0f} %"),
        ("p50 of the masked, ms", found.p50),
        ("p99 of the masked, ms", found.p99),
        ("p99 of the refused (503), ms", found.refused),
        ("answers by status", ", ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items()))),
        ("memory before, largest, at the end, MB", f"{memories[0]:.0f}, {max(memories):.0f}, {memories[-1]:.0f}"),
        ("one connection right after it, p50 ms", after.p50),
        ("the load was behind its plan by at most, ms", 1000 * found.late),
    ]
    print(table([f"{seconds:g} s at {TIMES:g} × capacity", ""], rows))
    print()
    print(load_line())


def _worst(accepted: list[int]) -> float:
    size = min(10, len(accepted))
    return min(statistics.fmean(accepted[at : at + size]) for at in range(len(accepted) - size + 1))
