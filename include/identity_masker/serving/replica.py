"""One model-server process of the fleet: started, watched, restarted, drained."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import httpx
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.serving import last_words
from identity_masker.serving.control import Deployment, Endpoint, EndpointState
from identity_masker.serving.smoke import smoke
from identity_masker.telemetry import logs

SERVE = (sys.executable, "-m", "identity_masker.cli", "serve")
STARTING_TICK = 0.1
READY_TICK = 1.0
UNANSWERED = 3
"""Probes in a row without "ready" after which a server that was ready is restarted."""

log = logs.logger(__name__)


class FleetConfig(BaseModel):
    """How a fleet runs its model servers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str = Field(min_length=1, description="Name of the fleet in the control database.")
    control_url: str
    folder: Path = Field(description="For the lock and the servers' last words.")
    host: str = "127.0.0.1"
    first_port: int = Field(ge=1, le=65000)
    ports: int = Field(default=100, ge=1, le=1000)
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Of the fleet's own /metrics; 0 takes any free one."
    )
    serve: tuple[str, ...] = Field(default=SERVE, description="Command of a model server, without its options.")
    poll_seconds: float = Field(default=0.5, gt=0)
    probe_seconds: float = Field(default=3.0, gt=0, description="Time for a server to answer a probe.")
    start_seconds: float = Field(default=120.0, gt=0, description="Time for a server to become ready.")
    smoke_seconds: float = Field(default=20.0, gt=0, description="Time for the test picture.")
    drain_seconds: float = Field(default=1.0, ge=0, description="Time for gateways to notice that a server goes.")
    grace_seconds: float = Field(default=10.0, gt=0, description="Time for requests in flight at the end.")
    shortest_pause: float = Field(default=0.2, gt=0, description="Seconds before the first restart; then doubled.")
    longest_pause: float = Field(default=30.0, gt=0)
    steady_seconds: float = Field(default=30.0, gt=0, description="A server that lived as long starts afresh.")
    credentials: Callable[[], str | None] = Field(
        default=lambda: None, exclude=True, description="The token for model servers, where they ask for one."
    )


class Ending(NamedTuple):
    """Why a process is no more. `final` when trying again cannot help."""

    reason: str
    final: bool = False


class Replica:
    """Keeps one server of one version alive until `stop` is called."""

    def __init__(
        self,
        config: FleetConfig,
        deployment: Deployment,
        slot: str,
        *,
        record: Callable[[Endpoint], Awaitable[None]],
        ports: set[int],
    ) -> None:
        """`ports` holds the ports that the replicas of the fleet use; this one adds and removes its own."""
        self._config = config
        self._deployment = deployment
        self._slot = slot
        self._record = record
        self._ports = ports
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._port = 0
        self._state: EndpointState = "starting"
        self._restarts = 0
        self._report = config.folder / f"{slot}.json"

    def stop(self) -> None:
        self._stopping.set()

    async def keep(self) -> None:
        """Run until stopped; the process has ended when this returns or is cancelled."""
        failures = 0
        try:
            while not self._stopping.is_set():
                born = time.monotonic()
                try:
                    ending = await self._life()
                except TemporaryError as error:
                    ending = Ending(str(error))
                if self._stopping.is_set():
                    return
                failures = 1 if time.monotonic() - born > self._config.steady_seconds else failures + 1
                await self._set("refused" if ending.final else "failed", ending.reason)
                log.error("server_ended", slot=self._slot, reason=ending.reason, failures=failures)
                await self._pause(ending, failures)
                self._restarts += 1
        finally:
            await self._end(self._config.grace_seconds)
            self._ports.discard(self._port)

    async def _pause(self, ending: Ending, failures: int) -> None:
        """Back off: twice as long after each failure in a row, as long as allowed when it looks final."""
        config = self._config
        doubled = config.shortest_pause * 2.0 ** min(failures - 1, 20)
        await self._sleep(config.longest_pause if ending.final else min(doubled, config.longest_pause))

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not when stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _life(self) -> Ending:
        """Start a process and stay with it to its end."""
        self._process = process = await self._start()
        await self._set("starting", "the process starts")
        async with httpx.AsyncClient(base_url=self._url, timeout=self._config.probe_seconds, trust_env=False) as http:
            ended = asyncio.create_task(process.wait())
            watch = asyncio.create_task(self._watch(http))
            stopped = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({ended, watch, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (watch, stopped):
                    task.cancel()
            if self._stopping.is_set():
                await self._drain()
                return Ending("stopped")
            if watch.done() and not watch.cancelled():
                await self._end(seconds=0)
                return watch.result()
            return self._last_words(await ended)

    async def _start(self) -> asyncio.subprocess.Process:
        config = self._config
        self._ports.discard(self._port)
        self._port = _free_port(config, self._ports, preferred=self._port)
        self._ports.add(self._port)
        self._report.unlink(missing_ok=True)
        options = {
            "--version": self._deployment.version,
            "--host": config.host,
            "--port": str(self._port),
            "--drain-seconds": str(config.drain_seconds),
            "--grace-seconds": str(config.grace_seconds),
            "--report": str(self._report),
            "--parent": str(os.getpid()),
        }
        command = [*config.serve, *(word for pair in options.items() for word in pair)]
        log.info("server_starts", slot=self._slot, port=self._port, version=self._deployment.semver)
        return await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)

    @property
    def _url(self) -> str:
        return f"http://{self._config.host}:{self._port}"

    async def _watch(self, http: httpx.AsyncClient) -> Ending:
        """Probe until something is wrong that only a restart mends."""
        trouble = await self._until_ready(http)
        if trouble:
            return Ending(trouble)
        log.info("server_ready", slot=self._slot, port=self._port, restarts=self._restarts)
        misses = 0
        while misses < UNANSWERED:
            await self._set("ready" if misses == 0 else "starting", trouble)
            await asyncio.sleep(READY_TICK)
            trouble = await probe(http)
            misses = misses + 1 if trouble else 0
        return Ending(f"it was ready, then {UNANSWERED} probes in a row failed: {trouble}")

    async def _until_ready(self, http: httpx.AsyncClient) -> str:
        """Wait for readiness and mask a test picture. Returns what is wrong, or nothing."""
        deadline = time.monotonic() + self._config.start_seconds
        told = 0.0
        while trouble := await probe(http):
            if time.monotonic() > deadline:
                return f"not ready after {self._config.start_seconds:g} s: {trouble}"
            if time.monotonic() - told > 1.0:
                await self._set("starting", trouble)
                told = time.monotonic()
            await asyncio.sleep(STARTING_TICK)
        return await smoke(http, self._config.smoke_seconds, self._config.credentials())

    async def _set(self, state: EndpointState, detail: str) -> None:
        self._state = state
        await self._record(
            Endpoint(
                owner=self._config.owner,
                slot=self._slot,
                version=self._deployment.version,
                url=self._url,
                pid=self._process.pid if self._process else 0,
                state=state,
                detail=detail,
                restarts=self._restarts,
            )
        )

    async def _drain(self) -> None:
        """Tell the gateways first, then the process."""
        if self._state == "ready":
            await self._set("draining", "no longer wanted")
            await asyncio.sleep(self._config.drain_seconds)
        await self._end(self._config.drain_seconds + self._config.grace_seconds)

    async def _end(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL after `seconds`."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if seconds > 0:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _last_words(self, code: int) -> Ending:
        """The reason that the process left, or what its exit code says."""
        if self._report.exists():
            words = last_words.read(self._report)
            return Ending(words.reason, words.final)
        if code < 0:
            return Ending(f"killed by signal {signal.Signals(-code).name}")
        return Ending(f"ended with exit code {code}", final=code == BadInputError.exit_code)


async def probe(http: httpx.AsyncClient) -> str:
    """What keeps the server from being ready; nothing when it is."""
    try:
        answer = await http.get("/health/ready")
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    if answer.status_code == httpx.codes.OK:
        return ""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _free_port(config: FleetConfig, used: set[int], preferred: int) -> int:
    candidates = range(config.first_port, min(config.first_port + config.ports, 65536))
    for port in sorted(candidates, key=lambda candidate: candidate != preferred):
        if port not in used and _is_free(config.host, port):
            return port
    raise TemporaryError(
        "no port is free for a model server",
        got=f"{config.first_port} to {candidates[-1]} are all taken",
        fix="stop what listens there, or set MASKER_SERVER_PORT",
    )


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
