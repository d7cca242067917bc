"""SIGTERM while requests are under way: how many of them get no answer."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
from benchmarks.serving import payloads, servers
from benchmarks.serving.artifact import untrained
from benchmarks.serving.servers import BENTO, LIT, OURS, PLAIN, Contender
from benchmarks.serving.tables import table

IN_FLIGHT = 24


class Stop(NamedTuple):
    """What became of requests in flight, and of the process."""

    answered: int
    dropped: int
    ready: str
    seconds: float


def run() -> None:
    """Stop each server while it has 24 requests."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = untrained(Path(temporary))
        found = {contender: _stopped(contender, folder) for contender in (OURS, LIT, BENTO, PLAIN)}
    heads = ["SIGTERM with 24 requests in flight", "answered", "dropped", "readiness right after", "gone after s"]
    print(table(heads, [(contender.name, *stop) for contender, stop in found.items()]))


def _stopped(contender: Contender, folder: Path) -> Stop:
    body, headers = payloads.portrait()
    with servers.running(contender, folder) as server, ThreadPoolExecutor(IN_FLIGHT) as pool:
        connections = [httpx.Client(timeout=30) for _ in range(IN_FLIGHT)]
        for client in connections:
            client.post(server.url + contender.path, content=body, headers=headers)
        running = [pool.submit(_post, client, server.url + contender.path, body, headers) for client in connections]
        time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        time.sleep(0.1)
        ready = _ready(server.url + contender.ready)
        answers = [future.result() for future in running]
        try:
            server.process.wait(20)
            took = time.monotonic() - began
        except subprocess.TimeoutExpired:
            took = float("inf")
        for client in connections:
            client.close()
    return Stop(sum(answers), IN_FLIGHT - sum(answers), ready, took)


def _post(client: httpx.Client, url: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        return client.post(url, content=body, headers=headers).status_code == 200
    except httpx.HTTPError:
        return False


def _ready(url: str) -> str:
    """The status of a probe on a new connection, as a load balancer sees it."""
    try:
        return str(httpx.get(url, timeout=2).status_code)
    except httpx.HTTPError:
        return "no connection"
