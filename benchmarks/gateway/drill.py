"""A hundred thousand requests while a version is swapped, a server is killed and the routing changes five times."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
from benchmarks.events.quiet import quiet
from benchmarks.experiments.tables import show
from tests.integration import service_processes as processes
from tests.integration.service_processes import Home, Process
from tests.integration.test_gateway import canary
from tests.unit.serving.support import noise

from identity_masker.serving.pictures import encode
from identity_masker.serving.routing import only
from identity_masker.serving.upstream import Upstream, UpstreamError


class Drill:
    """Two model servers of each of two versions, a gateway, and clients that ask as fast as they are answered."""

    def __init__(self, made: Home, stack: contextlib.ExitStack, requests: int, at_a_time: int) -> None:
        self.made, self.stack, self.requests, self.at_a_time = made, stack, requests, at_a_time
        self.servers: dict[str, dict[str, Process]] = {version: {} for version in ("1", "2")}
        for version, held in self.servers.items():
            held |= {f"{version}-{slot}": stack.enter_context(processes.null_server(made, version)) for slot in "ab"}
            for server in held.values():
                processes.ready(server)
            stack.enter_context(processes.alive(made, held, version))
        processes.route(made, only("1", "1.0.1"))
        self.gateway = stack.enter_context(processes.command(made, "gateway", "--port", "0"))
        processes.ready(self.gateway)
        self.counts: Counter[str] = Counter()
        self.sent = 0
        self.slowest = 0.0
        self.log: list[tuple[object, ...]] = []

    async def client(self, upstream: Upstream, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        while self.sent < self.requests:
            self.sent += 1
            user = (b"x-user-id", b"user-%d" % (self.sent % 997))
            began = time.perf_counter()
            try:
                reply = await upstream.post(b"/v1/mask", [*headers, user], body, seconds=60)
                self.counts[f"{reply.status} {reply.headers.get(b'x-model-version', b'none').decode()}"] += 1
            except (UpstreamError, TimeoutError) as error:
                self.counts[f"no answer: {error}"] += 1
            self.slowest = max(self.slowest, time.perf_counter() - began)

    async def load(self) -> None:
        """Every request goes through the gateway; none is sent twice by the client."""
        upstream = Upstream(self.gateway.url)
        headers = [(b"content-type", b"image/jpeg"), (b"authorization", b"Bearer " + self.made.token.encode())]
        body = encode(noise(64), "JPEG")
        await asyncio.gather(*(self.client(upstream, headers, body) for _ in range(self.at_a_time)))
        upstream.close()

    def kill(self) -> None:
        """SIGKILL a model server of the version that serves; its fleet notices a second later and starts another."""
        server = self.servers["2"]["2-a"]
        os.kill(server.pid, signal.SIGKILL)
        time.sleep(1.0)
        del self.servers["2"]["2-a"]
        self.made.control.forget_endpoint("b", "2-a")
        fresh = self.stack.enter_context(processes.null_server(self.made, "2"))
        processes.ready(fresh)
        self.servers["2"]["2-c"] = fresh

    def events(self) -> list[tuple[str, Callable[[], None]]]:
        def routed(table: object) -> Callable[[], None]:
            return lambda: processes.route(self.made, table)  # type: ignore[arg-type]

        return [
            ("route: a tenth to 1.0.2", routed(canary(0.1))),
            ("route: half to 1.0.2", routed(canary(0.5))),
            ("swap: all to 1.0.2", routed(only("2", "1.0.2"))),
            ("kill -9 of a server of 1.0.2", self.kill),
            ("route: all to 1.0.1", routed(only("1", "1.0.1"))),
            ("route: a fifth to 1.0.2", routed(canary(0.2))),
            ("route: all to 1.0.2", routed(only("2", "1.0.2"))),
        ]

    def disturb(self, done: threading.Event) -> None:
        """One event after the other, spread over the run."""
        events = self.events()
        for number, (name, act) in enumerate(events, start=1):
            while self.sent < self.requests * number / (len(events) + 1):
                if done.wait(0.01):
                    return
            self.log.append((f"{self.sent:,}", name, f"{time.perf_counter() - self.began:.1f}"))
            act()

    def run(self) -> float:
        """Seconds that it took."""
        self.began, done = time.perf_counter(), threading.Event()
        troubles = threading.Thread(target=self.disturb, args=(done,))
        troubles.start()
        asyncio.run(self.load())
        seconds = time.perf_counter() - self.began
        done.set()
        troubles.join()
        return seconds

    def retried(self) -> int:
        bearer = {"authorization": f"Bearer {self.made.token}"}
        text = httpx.get(f"{self.gateway.operations}/metrics", headers=bearer, timeout=30).text
        return int(
            float(
                next(line.split()[-1] for line in text.splitlines() if line.startswith("masker_gateway_retries_total "))
            )
        )


def run(requests: int, at_a_time: int) -> None:
    """Print what happened when, and what came back."""
    quiet()
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.home(Path(folder)) as made,
        contextlib.ExitStack() as stack,
    ):
        drill = Drill(made, stack, requests, at_a_time)
        seconds = drill.run()
        show(("after requests", "event", "s"), drill.log)
        print()
        failed = sum(count for name, count in drill.counts.items() if not name.startswith("200 "))
        versions = ", ".join(
            f"{name.split()[1]}: {n:,}" for name, n in sorted(drill.counts.items()) if name[:3] == "200"
        )
        header = ("requests", "failed", "by version", "sent to a second server", "requests/s", "slowest ms")
        line = (
            f"{requests:,}",
            failed,
            versions,
            drill.retried(),
            f"{requests / seconds:.0f}",
            f"{1e3 * drill.slowest:.0f}",
        )
        show(header, [line])
        if failed:
            raise SystemExit(f"failed: {dict(drill.counts)}")
