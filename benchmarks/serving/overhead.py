"""What is left of a server when its model does nothing: processor time a request, and when nobody asks."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving import payloads, servers, wrk
from benchmarks.serving.payloads import Payload
from benchmarks.serving.processes import cpu_seconds
from benchmarks.serving.servers import BENTO, CLOSED, LIT, OURS, PLAIN, Contender
from benchmarks.serving.tables import load_line, table

from identity_masker.security.keys import KeyFolder
from identity_masker.security.tokens import issue

IDLE_SECONDS = 5.0


class Case(NamedTuple):
    """A server, what it is asked, and how the table calls it."""

    contender: Contender
    name: str
    path: str
    payload: Payload


class Found(NamedTuple):
    """Processor time in ms a request, by rounds; requests a second in the best round; idle, per cent of a core."""

    cpu_ms: list[float]
    rate: float
    idle: float


def run(seconds: float, rounds: int, ours: bool) -> None:
    """Load each server in turn, so often; the least processor time of the rounds makes the table.

    `ours`: only this one and FastAPI alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        found = [
            (case, _measured(case, home, seconds, rounds))
            for case in _cases(home)
            if not ours or case.contender not in (LIT, BENTO)
        ]
    rows = [
        (case.name, f"{min(f.cpu_ms):.3f}", f"{sorted(f.cpu_ms)[len(f.cpu_ms) // 2]:.3f}", f.rate, f"{f.idle:.1f} %")
        for case, f in found
    ]
    heads = ["a model that does nothing, 32 connections", "CPU ms a request, least", "median", "requests/s", "idle CPU"]
    print(table(heads, rows))
    print()
    print(load_line())


def _cases(home: Path) -> list[Case]:
    tensor, portrait = payloads.tensor(), payloads.portrait()
    token = issue(KeyFolder(home / "keys"), "benchmark", "service", seconds=86_400).token
    bearer = {"authorization": f"Bearer {token}"}
    infer = "/v2/models/masker/infer"
    return [
        Case(OURS, "identity-masker, 12 KiB tensor", infer, tensor),
        Case(OURS, "identity-masker, JPEG decoded and encoded", OURS.path, portrait),
        Case(CLOSED, "with tokens, limits, metrics and logs, 12 KiB tensor", infer, tensor.also(bearer)),
        Case(CLOSED, "with tokens, limits, metrics and logs, JPEG", CLOSED.path, portrait.also(bearer)),
        Case(PLAIN, "FastAPI alone, 12 KiB", PLAIN.path, tensor),
        Case(LIT, "LitServe 0.2.19, 12 KiB", LIT.path, tensor),
        Case(BENTO, "BentoML 1.4.39, 12 KiB", BENTO.path, tensor),
    ]


def _measured(case: Case, home: Path, seconds: float, rounds: int) -> Found:
    with servers.running(case.contender, None, home=home) as server:
        url, pid = server.url + case.path, server.process.pid
        wrk.run(url, *case.payload, connections=32, seconds=1)
        cpu_ms, rate = [], 0.0
        for _ in range(rounds):
            before = cpu_seconds(pid)
            load = wrk.run(url, *case.payload, connections=32, seconds=seconds)
            assert not load.bad, f"{case.name}: {load.bad} answers were no answers"
            cpu_ms.append(1000 * (cpu_seconds(pid) - before) / max(load.requests, 1))
            rate = max(rate, load.rate)
        time.sleep(1)
        before = cpu_seconds(pid)
        time.sleep(IDLE_SECONDS)
        return Found(cpu_ms, rate, 100 * (cpu_seconds(pid) - before) / IDLE_SECONDS)
