"""The fleet on Kubernetes: asks the cluster for pods, which it keeps alive, and tells the gateways where they are."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable

import httpx
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import MaskerError, TemporaryError
from identity_masker.serving.board import STALE_SECONDS
from identity_masker.serving.cluster import names, pod_state
from identity_masker.serving.cluster.api import Cluster
from identity_masker.serving.cluster.blueprint import Blueprint
from identity_masker.serving.cluster.objects import Objects
from identity_masker.serving.cluster.proofs import Proofs
from identity_masker.serving.control import Control, Deployment, Endpoint
from identity_masker.serving.fleet_measures import FleetMeasures
from identity_masker.serving.replica import probe
from identity_masker.serving.smoke import smoke
from identity_masker.telemetry import logs
from identity_masker.telemetry.exposition import exposed, process_registry

HEARTBEAT_SECONDS = 2.0
log = logs.logger(__name__)


class ClusterFleetConfig(BaseModel):
    """How often the cluster is looked at, and how long its servers may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    poll_seconds: float = Field(default=0.5, gt=0)
    probe_seconds: float = Field(default=3.0, gt=0, description="Time for a server to answer a probe.")
    smoke_seconds: float = Field(default=20.0, gt=0, description="Time for the test picture.")
    smoke_again_seconds: float = Field(default=5.0, gt=0, description="After a test picture that was not masked.")
    host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65535, description="Metrics of the fleet; 0 takes any free port.")
    credentials: Callable[[], str | None] = Field(
        default=lambda: None, exclude=True, description="The token for model servers, where they ask for one."
    )


class ClusterFleet:
    """Reconciles deployments with the cluster, and endpoints with its pods, until stopped.

    Any number of them may run: what they write is the same. Servers go on without any.
    """

    def __init__(self, config: ClusterFleetConfig, blueprint: Blueprint, cluster: Cluster, control: Control) -> None:
        self.registry = process_registry()
        self._measures = FleetMeasures(self.registry, None)
        self._config, self._pods, self._cluster, self._control = config, blueprint.pods, cluster, control
        self._objects = Objects(blueprint, cluster, control)
        self._owner = f"kubernetes:{cluster.namespace}/{blueprint.pods.instance}"
        self._proofs = Proofs(self._smoke, config.smoke_again_seconds)
        self._last: list[Endpoint] = []
        self._without_pods: list[Endpoint] = []
        self._stopping = asyncio.Event()
        self._troubles: dict[str, str] = {}

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`; nothing is taken down then: pods and what gateways know of them stay.

        Raises `BadInputError` when the cluster does not even let this fleet see its pods.
        """
        await self._begin()
        log.info("fleet_runs", owner=self._owner)
        try:
            # Apart, so that an object that takes long does not silence the news of the pods.
            await asyncio.gather(self._repeat("objects", self._make), self._repeat("pods", self._watch))
        finally:
            await self._proofs.stop()
            log.info("fleet_stopped", owner=self._owner)

    async def _begin(self) -> None:
        """Take over what a fleet before this one knew: its servers go on serving without a new test."""
        with contextlib.suppress(TemporaryError):
            await asyncio.to_thread(self._list)
        with contextlib.suppress(MaskerError):
            self._last = [
                endpoint
                for endpoint in await asyncio.to_thread(self._control.endpoints)
                if endpoint.owner == self._owner and endpoint.heartbeat > time.time() - STALE_SECONDS
            ]
        for endpoint in self._last:
            if endpoint.state in ("ready", "draining"):
                self._proofs.adopt(endpoint)

    async def _repeat(self, what: str, once: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            try:
                await once()
            except MaskerError as error:
                self._troubled(what, str(error))
            else:
                self._troubled(what, "")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.poll_seconds):
                    await self._stopping.wait()

    async def _make(self) -> None:
        deployments = await self._deployments()
        self._measures.wanted(deployments)
        reasons = await asyncio.to_thread(self._objects.reconcile, deployments)
        self._without_pods = [self._without(version, why) for version, why in reasons.items()]

    async def _deployments(self) -> list[Deployment]:
        """What is wanted; whether the database answered is a metric."""
        try:
            found = await asyncio.to_thread(self._control.deployments)
        except MaskerError:
            self._measures.control_database(answers=False)
            raise
        self._measures.control_database(answers=True)
        return found

    async def _watch(self) -> None:
        """The model servers: as the cluster says, or as they say themselves while it does not answer."""
        try:
            listed = await asyncio.to_thread(self._list)
        except MaskerError:
            self._last = list(await asyncio.gather(*(self._asked(endpoint) for endpoint in self._last)))
            self._measures.all_seen(self._last)
            await asyncio.to_thread(self._write, self._last)
            raise
        self._last = [self._proofs.judged(endpoint) for endpoint in listed]
        self._proofs.keep(listed)
        # One that goes before it was proven has not failed.
        shown = zip(listed, self._last, strict=True)
        self._measures.all_seen([pod if pod.state == "draining" else judged for pod, judged in shown])
        await asyncio.to_thread(self._write, [*self._last, *self._without_pods])

    def _list(self) -> list[Endpoint]:
        pods = self._cluster.find("Pod", "v1", names.labels_of_all(self._pods.instance))
        found = (pod_state.endpoint(pod, self._owner, self._pods.port) for pod in pods)
        return [endpoint for endpoint in found if endpoint is not None]

    def _write(self, endpoints: list[Endpoint]) -> None:
        """What is news, or was not said for a while: by this fleet or by another one of this name."""
        known = {endpoint.slot: endpoint for endpoint in self._control.endpoints() if endpoint.owner == self._owner}
        for endpoint in endpoints:
            if _is_news(endpoint, known.get(endpoint.slot)):
                self._control.record_endpoint(endpoint)
        for slot in known.keys() - {endpoint.slot for endpoint in endpoints}:
            self._control.forget_endpoint(self._owner, slot)

    async def _asked(self, endpoint: Endpoint) -> Endpoint:
        """One that was ready and answers is ready."""
        if endpoint.state not in ("ready", "starting") or not self._proofs.proven(endpoint):
            return endpoint
        async with self._client(endpoint) as http:
            trouble = await probe(http)
        return endpoint.model_copy(update={"state": "starting" if trouble else "ready", "detail": trouble})

    async def _smoke(self, endpoint: Endpoint) -> str:
        async with self._client(endpoint) as http:
            return await smoke(http, self._config.smoke_seconds, self._config.credentials())

    def _client(self, endpoint: Endpoint) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=endpoint.url, timeout=self._config.probe_seconds, trust_env=False)

    def _without(self, version: str, why: str) -> Endpoint:
        """Where a version whose objects or pods the cluster does not take says so."""
        name = names.of_version(self._pods.instance, version)
        return Endpoint(
            owner=self._owner,
            slot=name,
            version=version,
            url=f"http://{name}.invalid",
            pid=0,
            state="failed",
            detail=why,
        )

    def _troubled(self, what: str, trouble: str) -> None:
        """Pods go on while cluster or database are away; the log says when that begins and when it ends."""
        if trouble != self._troubles.get(what, ""):
            (log.error if trouble else log.info)("reconcile", what=what, ok=not trouble, detail=trouble)
        self._troubles[what] = trouble


def _is_news(endpoint: Endpoint, known: Endpoint | None) -> bool:
    if known is None or known.heartbeat < time.time() - HEARTBEAT_SECONDS:
        return True
    return known != endpoint.model_copy(update={"heartbeat": known.heartbeat})


async def run(config: ClusterFleetConfig, blueprint: Blueprint, namespace: str, control_url: str) -> None:
    """Run a fleet until SIGTERM or SIGINT.

    Raises `BadInputError` when there is no cluster, or no right to see its pods, and `ConflictError` when the port of
    the metrics is taken.
    """
    cluster = Cluster(namespace)
    try:
        with Control(control_url) as control:
            fleet = ClusterFleet(config, blueprint, cluster, control)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, fleet.stop)
            with exposed(fleet.registry, config.host, config.metrics_port, variable="MASKER_FLEET_PORT") as url:
                log.info("fleet_metrics", url=url)
                await fleet.run()
    finally:
        cluster.close()
