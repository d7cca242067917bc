"""The fleet: makes the model servers that run the ones that the control database asks for."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from identity_masker import artifacts
from identity_masker.errors import ConflictError, MaskerError
from identity_masker.serving.control import Control, Deployment, Endpoint
from identity_masker.serving.fleet_measures import FleetMeasures
from identity_masker.serving.replica import FleetConfig, Replica
from identity_masker.telemetry import logs
from identity_masker.telemetry.exposition import exposed, process_registry

LEFTOVER_SECONDS = 5.0
T = TypeVar("T")
log = logs.logger(__name__)


class Fleet:
    """Reconciles deployments with processes until stopped."""

    def __init__(self, config: FleetConfig, control: Control) -> None:
        self.registry = process_registry()
        self._measures = FleetMeasures(self.registry, config.folder)
        self._config = config
        self._control = control
        self._replicas: dict[str, Replica] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ports: set[int] = set()
        self._stopping = asyncio.Event()
        self._trouble = False

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Serve what is wanted until `stop`; every process has ended when this returns."""
        await asyncio.to_thread(end_leftovers, self._control, self._config.owner)
        log.info("fleet_runs", owner=self._config.owner, first_port=self._config.first_port)
        try:
            while not self._stopping.is_set():
                await self._reconcile()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._config.poll_seconds):
                        await self._stopping.wait()
        finally:
            for replica in self._replicas.values():
                replica.stop()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._reap()
            log.info("fleet_stopped", owner=self._config.owner)

    async def _reconcile(self) -> None:
        await self._reap()
        wanted = await self._wanted()
        if wanted is None:
            return
        for slot, deployment in wanted.items():
            if slot not in self._replicas:
                self._start(slot, deployment)
        for slot in self._replicas.keys() - wanted.keys():
            self._replicas[slot].stop()

    async def _wanted(self) -> dict[str, Deployment] | None:
        """Slot → deployment; None while the database does not answer, and then nothing changes."""
        try:
            deployments = await asyncio.to_thread(self._control.deployments)
        except MaskerError as error:
            self._troubled(error)
            return None
        self._troubled(None)
        self._measures.wanted(deployments)
        return {f"{d.version}-{n}": d for d in deployments for n in range(d.replicas)}

    def _start(self, slot: str, deployment: Deployment) -> None:
        replica = Replica(self._config, deployment, slot, record=self._record, ports=self._ports)
        self._replicas[slot] = replica
        self._tasks[slot] = asyncio.create_task(replica.keep(), name=slot)

    async def _reap(self) -> None:
        """Forget the replicas that have ended. Raises what one raised: that is a bug, no crash of its server."""
        for slot in [slot for slot, task in self._tasks.items() if task.done()]:
            del self._replicas[slot]
            task = self._tasks.pop(slot)
            self._measured(self._measures.gone, slot)
            try:
                await asyncio.to_thread(self._control.forget_endpoint, self._config.owner, slot)
            except MaskerError as error:
                self._troubled(error)
            task.result()

    def _measured(self, measure: Callable[[T], None], what: T) -> None:
        """Servers go on when the file for Prometheus cannot be written."""
        try:
            measure(what)
        except (OSError, MaskerError) as error:
            log.error("targets_not_written", detail=str(error))

    async def _record(self, endpoint: Endpoint) -> None:
        self._measured(self._measures.seen, endpoint)
        try:
            await asyncio.to_thread(self._control.record_endpoint, endpoint)
        except MaskerError as error:
            self._troubled(error)

    def _troubled(self, error: MaskerError | None) -> None:
        """Servers go on while the database is away; the log says when that begins and when it ends."""
        self._measures.control_database(answers=error is None)
        if (error is not None) != self._trouble:
            self._trouble = error is not None
            (log.error if error else log.info)("control_database", ok=error is None, detail=str(error or ""))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of the fleet in `folder`. Raises `ConflictError` when another fleet has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+")
    except OSError as error:
        raise artifacts.disk_error(error, folder) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ConflictError(
                "another fleet runs here",
                got=f"process {file.read().strip() or 'unknown'} holds {folder}/lock",
                fix="stop it, or set MASKER_HOME and MASKER_SERVER_PORT for a second one",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def end_leftovers(control: Control, owner: str) -> None:
    """End the servers that an earlier fleet of this name left behind, and forget all its endpoints.

    A server asks the kernel to be told when its fleet dies, so this finds one only when that failed.
    """
    for endpoint in control.endpoints():
        if endpoint.owner != owner:
            continue
        if _is_server(endpoint.pid):
            log.warning("leftover_ended", slot=endpoint.slot, pid=endpoint.pid)
            _end(endpoint.pid)
        control.forget_endpoint(owner, endpoint.slot)


def _is_server(pid: int) -> bool:
    """Whether the process is one of our model servers and not a later one that got the same number."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if pid > 0 else []
    except OSError:
        return False
    return b"--parent" in words and b"--report" in words


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.05)
            os.kill(pid, 0)
        os.kill(pid, signal.SIGKILL)


async def run(config: FleetConfig) -> None:
    """Run a fleet until SIGTERM or SIGINT.

    Raises `ConflictError` when another one runs in the same home or the port of the metrics is taken.
    """
    with alone(config.folder), Control(config.control_url) as control:
        fleet = Fleet(config, control)
        with exposed(fleet.registry, config.host, config.metrics_port, variable="MASKER_FLEET_PORT") as url:
            log.info("fleet_metrics", url=url)
            await _until_signal(fleet)


async def _until_signal(fleet: Fleet) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, fleet.stop)
    await fleet.run()
