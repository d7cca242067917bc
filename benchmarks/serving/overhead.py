"""What is left of a server when its model does nothing: processor time a request, and when nobody asks."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.serving import payloads, servers, wrk
from benchmarks.serving.payloads import Payload
from benchmarks.serving.processes import cpu_seconds
from benchmarks.serving.servers import BENTO, LIT, OURS, PLAIN, Contender
from benchmarks.serving.tables import load_line, table

IDLE_SECONDS = 5.0


class Case(NamedTuple):
    """A server, what it is asked, and how the table calls it."""

    contender: Contender
    name: str
    path: str
    payload: Payload


def run(seconds: float, rounds: int) -> None:
    """Load each server in turn, so often; the least processor time of the rounds makes the table."""
    tensor, portrait = payloads.tensor(), payloads.portrait()
    cases = [
        Case(OURS, "identity-masker, 12 KiB tensor", "/v2/models/masker/infer", tensor),
        Case(OURS, "identity-masker, JPEG decoded and encoded", OURS.path, portrait),
        Case(PLAIN, "FastAPI alone, 12 KiB", PLAIN.path, tensor),
        Case(LIT, "LitServe 0.2.19, 12 KiB", LIT.path, tensor),
        Case(BENTO, "BentoML 1.4.39, 12 KiB", BENTO.path, tensor),
    ]
    rows = []
    for case in cases:
        with servers.running(case.contender, None) as server:
            url, pid = server.url + case.path, server.process.pid
            wrk.run(url, *case.payload, connections=32, seconds=1)
            found, rate = [], 0.0
            for _ in range(rounds):
                before = cpu_seconds(pid)
                load = wrk.run(url, *case.payload, connections=32, seconds=seconds)
                found.append(1000 * (cpu_seconds(pid) - before) / max(load.requests, 1))
                rate = max(rate, load.rate)
            time.sleep(1)
            before = cpu_seconds(pid)
            time.sleep(IDLE_SECONDS)
            idle = 100 * (cpu_seconds(pid) - before) / IDLE_SECONDS
        rows.append((case.name, f"{min(found):.3f}", f"{sorted(found)[len(found) // 2]:.3f}", rate, f"{idle:.1f} %"))
    heads = ["a model that does nothing, 32 connections", "CPU ms a request, least", "median", "requests/s", "idle CPU"]
    print(table(heads, rows))
    print()
    print(load_line())
