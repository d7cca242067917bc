"""Pictures a second and a processor second, with the masker: this server, its peers, and no server at all."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import httpx
from benchmarks.serving import ceiling, payloads, servers, wrk
from benchmarks.serving.artifact import untrained
from benchmarks.serving.ceiling import Speed
from benchmarks.serving.payloads import Payload
from benchmarks.serving.processes import cpu_seconds, memory_mb
from benchmarks.serving.servers import BENTO, LIT, OURS, PLAIN, Contender
from benchmarks.serving.tables import load_line, table
from benchmarks.serving.wrk import Load

CONTENDERS = (OURS, LIT, BENTO, PLAIN)


class Round(NamedTuple):
    """One server under load once: what wrk saw, and processor time of the server in ms a request."""

    load: Load
    cpu_ms: float


def run(seconds: float, rounds: int, connections: int) -> None:
    """Load each server in turn, so often; the best and the median of the rounds make the table."""
    payload = payloads.portrait()
    with tempfile.TemporaryDirectory() as temporary:
        folder = untrained(Path(temporary))
        found: dict[Contender, list[Round]] = {contender: [] for contender in CONTENDERS}
        single: dict[Contender, list[Round]] = {contender: [] for contender in CONTENDERS}
        memory: dict[Contender, float] = {}
        speeds: list[list[Speed]] = []
        for _ in range(rounds):
            speeds.append(ceiling.measured(folder, seconds / 8))
            for contender in CONTENDERS:  # one at a time: idle workers of others must not be in the way
                with servers.running(contender, folder) as server:
                    url = server.url + contender.path
                    _warm(url, payload)
                    # One connection first: some go on with what clients of a heavier load have left.
                    for kept, many in ((single, 1), (found, connections)):
                        wrk.run(url, *payload, connections=many, seconds=1)
                        before = cpu_seconds(server.process.pid)
                        load = wrk.run(url, *payload, connections=many, seconds=seconds / (1 if many > 1 else 2))
                        used = cpu_seconds(server.process.pid) - before
                        kept[contender].append(Round(load, 1000 * used / max(load.requests, 1)))
                    memory[contender] = memory_mb(server.process.pid)
    _print(found, single, memory, speeds, connections)


def _warm(url: str, payload: Payload) -> None:
    """The first requests set up what later ones find."""
    for _ in range(3):
        httpx.post(url, content=payload.body, headers=payload.headers, timeout=60).raise_for_status()


def _print(
    found: dict[Contender, list[Round]], single: dict[Contender, list[Round]], memory: dict[Contender, float],
    speeds: list[list[Speed]], connections: int,
) -> None:  # fmt: skip
    best = [max((each[row] for each in speeds), key=lambda speed: speed.rate) for row in range(len(speeds[0]))]
    print(table(["calls in a loop, pictures in each", "CPU ms a picture", "pictures a second", "ms of a call"], best))
    top = max(best, key=lambda speed: speed.rate)
    print()
    rows = []
    for contender, rounds in found.items():
        fast = max(rounds, key=lambda each: each.load.rate)
        alone = min(single[contender], key=lambda each: each.load.p50)
        cpu = min(each.cpu_ms for each in rounds)
        rows.append([
            contender.name, fast.load.rate, f"{100 * fast.load.rate / top.rate:.0f} %", cpu, 1000 / cpu,
            statistics.median(each.cpu_ms for each in rounds), fast.load.p50, fast.load.p99, alone.load.p50,
            memory[contender], sum(each.load.bad + each.load.broken for each in rounds),
        ])  # fmt: skip
    heads = [
        f"{connections} connections", "pictures/s", "of the loop's best", "CPU ms a picture, best", "a CPU second",
        "CPU ms, median", "p50 ms", "p99 ms", "p50 ms of one connection", "MB", "errors",
    ]  # fmt: skip
    print(table(heads, rows))
    print()
    print(load_line())
