"""What the event log costs a request: two gateways before the same model server, asked in turn."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from benchmarks.events.quiet import quiet
from pydantic import SecretStr
from tests.unit.serving.support import eventually, noise, running, served_model

from identity_masker.serving.control import Control, Endpoint
from identity_masker.serving.gateway import Gateway, GatewayConfig
from identity_masker.serving.pictures import encode
from identity_masker.serving.process import Runner, listen
from identity_masker.serving.routing import only
from identity_masker.serving.server import ModelServer, ServerConfig


def serve(control: str, events: str) -> None:
    """A gateway as a process; its first line of output is its address. Without `events`, it logs nothing."""
    quiet()
    listener = listen("127.0.0.1", 0, variable="-")
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = GatewayConfig(events_dir=Path(events) if events else None, unit_key=SecretStr("benchmark"))
    gateway = Gateway(config, control)
    Runner(gateway.app, drain_seconds=0, grace_seconds=1, on_drain=gateway.drain).serve_on(listener)


@contextlib.contextmanager
def gateway(control: str, events: str) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "benchmarks.events.gateway", control, events]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        eventually(f"{url}/health/ready")
        try:
            yield process.pid, url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def mean_ms(url: str) -> float:
    """Mean time of a request by the gateway's own clock, from its first byte to the last of its answer."""
    values = {}
    for line in httpx.get(f"{url}/metrics").text.splitlines():
        if line.startswith("masker_gateway_request_duration_seconds") and 'route="/v1/mask"' in line:
            values[line.split("{")[0].rpartition("_")[2]] = float(line.split()[-1])
    return values["sum"] / values["count"] * 1000


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(requests: int, pause_ms: float) -> None:
    """Send `requests` pictures to each gateway, one after the other, with a pause between two pairs."""
    quiet()
    picture = encode(noise(64), "JPEG")
    headers = {"content-type": "image/jpeg", "x-user-id": "somebody"}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/control.db"
        control = stack.enter_context(Control(url))
        server = ModelServer(ServerConfig())
        server.use(served_model())
        endpoint = stack.enter_context(running(server.app))
        control.write_routing(only("1", "1.0.1"), expected=0, author="benchmark", reason="benchmark")
        state = Endpoint(owner="b", slot="0", version="1", url=endpoint, pid=1, state="ready")
        control.record_endpoint(state)
        gateways = [stack.enter_context(gateway(url, events)) for events in ("", str(folder / "events"))]
        clients = [stack.enter_context(httpx.Client(base_url=address)) for _, address in gateways]
        times: list[list[float]] = [[], []]
        before = [cpu_seconds(pid) for pid, _ in gateways]
        for number in range(requests + 50):
            if number % 100 == 0:
                control.record_endpoint(state)  # as its fleet does
            for which in random.sample((0, 1), 2):  # who comes second finds other caches
                began = time.perf_counter()
                assert clients[which].post("/v1/mask", content=picture, headers=headers).status_code == 200
                times[which].append(time.perf_counter() - began)
                time.sleep(pause_ms / 1000)
        after = [cpu_seconds(pid) for pid, _ in gateways]
        means = [mean_ms(address) for _, address in gateways]
        server.close()
    print("| gateway | p50 ms | p90 ms | p99 ms | mean by its own clock | CPU ms a request |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = zip(("without log", "with log"), times, means, before, after, strict=True)
    for name, found, mean, first, last in rows:
        cuts = statistics.quantiles(found[50:], n=100)
        cpu = (last - first) / len(found) * 1000
        print(
            f"| {name} | {cuts[49] * 1e3:.3f} | {cuts[89] * 1e3:.3f} | {cuts[98] * 1e3:.3f} | {mean:.3f} | {cpu:.2f} |"
        )
    apart = sorted(b - a for a, b in zip(times[0][50:], times[1][50:], strict=True))
    print(f"\nmedian of the differences of pairs: {apart[len(apart) // 2] * 1e6:+.0f} µs")


if __name__ == "__main__":
    serve(*sys.argv[1:])
