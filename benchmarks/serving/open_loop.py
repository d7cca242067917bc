"""An open loop of requests, in a process of its own: they come when they are due, whether or not answers have come.

`python -m benchmarks.serving.open_loop URL RATE SECONDS` posts the portrait of `payloads` and prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import uvloop
from benchmarks.serving import payloads
from benchmarks.serving.processes import PROJECT

from identity_masker.serving.upstream import Upstream, UpstreamError


class Outcome(NamedTuple):
    """What came back. `late`: seconds by which the loop itself was behind, at most.

    statuses   answers by status; "0" where there was none
    accepted   of 200 answers by second of their arrival
    p50, p99   milliseconds of 200 answers from the moment at which they were due
    refused    the same p99 of 503 answers
    """

    statuses: dict[str, int]
    accepted: list[int]
    p50: float
    p99: float
    refused: float
    late: float


def start(url: str, rate: float, seconds: float) -> subprocess.Popen[str]:
    """Begin; the process prints its outcome."""
    command = [sys.executable, "-m", "benchmarks.serving.open_loop", url, str(rate), str(seconds)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen[str]) -> Outcome:
    """Wait for the process of `start`."""
    said, _ = process.communicate()
    return Outcome(**json.loads(said.splitlines()[-1]))


async def _send(url: str, rate: float, seconds: float) -> Outcome:
    body, headers = payloads.portrait()
    parts = urlsplit(url)
    upstream = Upstream(f"{parts.scheme}://{parts.netloc}", connect_seconds=5.0)
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    statuses: Counter[str] = Counter()
    times: dict[str, list[float]] = {"200": [], "503": []}
    accepted = [0] * (int(seconds) + 40)
    began, running, late = time.monotonic(), set(), 0.0

    async def one(due: float) -> None:
        try:
            reply = await upstream.post(parts.path.encode(), sent, body, seconds=30.0)
            status = str(reply.status)
        except (UpstreamError, TimeoutError):
            status = "0"
        now = time.monotonic() - began
        statuses[status] += 1
        times.setdefault(status, []).append(now - due)
        if status == "200":
            accepted[int(now)] += 1

    rng, due = np.random.default_rng(0), 0.0
    while due < seconds:
        wait = due - (time.monotonic() - began)
        late = max(late, -wait)
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
        due += rng.exponential(1 / rate)
    await asyncio.gather(*running)
    upstream.close()
    p50, p99 = np.quantile(times["200"] or [0.0], [0.5, 0.99]) * 1000
    refused = float(np.quantile(times["503"] or [0.0], 0.99)) * 1000
    return Outcome(dict(statuses), accepted[: int(seconds)], float(p50), float(p99), refused, late)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_send(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))._asdict()))
