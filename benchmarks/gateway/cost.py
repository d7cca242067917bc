"""What the gateway costs a request: asked in turn with the model server behind it, with and without a model."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.events.quiet import quiet
from benchmarks.experiments.tables import show
from benchmarks.gateway.load import Load, Request, wrk
from tests.integration import service_processes as processes
from tests.integration.service_processes import Home, Process
from tests.integration.test_serving import untrained
from tests.unit.serving.support import noise

from identity_masker.serving.pictures import encode
from identity_masker.serving.routing import only

HEADER = ("model", "asked", "at a time", "requests/s", "p50 ms", "p99 ms", "failed", "CPU ms of it a request")


class Run(NamedTuple):
    """Rounds of one service: what came of each, and the CPU seconds that it took."""

    loads: list[Load]
    cpu: list[float]

    def middle(self, name: str) -> float:
        return statistics.median(getattr(load, name) for load in self.loads)

    def cpu_ms(self) -> float:
        """The least of the rounds: neighbours on the machine only ever add to it."""
        return min(1000 * cpu / load.requests for cpu, load in zip(self.cpu, self.loads, strict=True))


@contextlib.contextmanager
def pair(made: Home, model: str) -> Iterator[tuple[Process, Process]]:
    """A model server and the gateway before it."""
    with contextlib.ExitStack() as stack:
        if model == "none":
            server = stack.enter_context(processes.null_server(made))
        else:
            folder = untrained(made.folder / "model", seed=0)
            server = stack.enter_context(processes.command(made, "serve", "--model-dir", str(folder), "--port", "0"))
        processes.ready(server)
        stack.enter_context(processes.alive(made, {"0": server}))
        processes.route(made, only("1", "1.0.1"))
        gateway = stack.enter_context(processes.command(made, "gateway", "--port", "0"))
        processes.ready(gateway)
        yield server, gateway


def measured(
    services: Sequence[Process], request: Request, *, connections: int, seconds: float, rounds: int
) -> list[Run]:
    """Load on one service after the other, `rounds` times, so that all meet the same neighbours."""
    runs = [Run([], []) for _ in services]
    for service in services:
        wrk(service.url, request, connections=connections, seconds=1)
    for _ in range(rounds):
        for service, run in zip(services, runs, strict=True):
            before = service.cpu_seconds()
            run.loads.append(wrk(service.url, request, connections=connections, seconds=seconds))
            run.cpu.append(service.cpu_seconds() - before)
    return runs


def run(seconds: float, rounds: int, models: Sequence[str]) -> None:
    """Print the table, and what the gateway added."""
    quiet()
    lines, added = [], []
    for model in models:
        with (
            tempfile.TemporaryDirectory() as folder,
            processes.home(Path(folder)) as made,
            pair(made, model) as services,
        ):
            request = Request(encode(noise(64), "JPEG"), "image/jpeg", made.token)
            for connections in (1, 32):
                runs = measured(services, request, connections=connections, seconds=seconds, rounds=rounds)
                lines += [
                    _line(model, name, connections, run) for name, run in zip(("server", "gateway"), runs, strict=True)
                ]
                added.append(_added(model, connections, *runs))
    show(HEADER, lines)
    print()
    show(("model", "at a time", "p50 added ms", "throughput lost %"), added)


def _line(model: str, name: str, connections: int, run: Run) -> tuple[object, ...]:
    failed = sum(load.failed for load in run.loads)
    shown = [f"{run.middle(name):.{digits}f}" for name, digits in (("rate", 0), ("p50", 2), ("p99", 2))]
    return (model, name, connections, *shown, failed, f"{run.cpu_ms():.2f}")


def _added(model: str, connections: int, server: Run, gateway: Run) -> tuple[object, ...]:
    apart = statistics.median(b.p50 - a.p50 for a, b in zip(server.loads, gateway.loads, strict=True))
    lost = 100 * (1 - statistics.median(b.rate / a.rate for a, b in zip(server.loads, gateway.loads, strict=True)))
    return model, connections, f"{apart:.2f}", f"{lost:.0f}"
