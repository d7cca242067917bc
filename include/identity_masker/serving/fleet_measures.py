"""Metrics of a fleet, and the list of its model servers that Prometheus reads (file-based discovery)."""

from __future__ import annotations

import json
import time
from collections import Counter as Counts
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from identity_masker import artifacts
from identity_masker.serving.control import Deployment, Endpoint
from identity_masker.telemetry.whole_gauge import WholeGauge

TARGETS = "targets.json"
"""File in the folder of the fleet."""

ENDED = ("failed", "refused")
START_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)


class FleetMeasures:
    """What the fleet wants, what it has, and what became of its servers."""

    def __init__(self, registry: CollectorRegistry, folder: Path | None) -> None:
        """`folder` gets the file of targets; None where Prometheus finds the servers by itself."""
        self._file = None if folder is None else folder / TARGETS
        self._written = ""
        self._endpoints: dict[str, Endpoint] = {}
        self._began: dict[str, float] = {}
        self._wanted = WholeGauge(
            "masker_fleet_servers_wanted", "Model servers asked for.", ["version", "semver"], registry
        )
        self._servers = WholeGauge("masker_fleet_servers", "Model servers by state.", ["version", "state"], registry)
        self._restarts = Counter(
            "masker_fleet_restarts", "Model servers started again after their end.", ["version"], registry=registry
        )
        self._ends = Counter(
            "masker_fleet_server_ends",
            "Ends of model servers that nobody asked for: failed, or refused (trying again cannot help).",
            ["version", "state"],
            registry=registry,
        )
        self._start = Histogram(
            "masker_fleet_server_start_seconds",
            "Time from a server's start until it masked the test picture.",
            ["version"],
            buckets=START_SECONDS,
            registry=registry,
        )
        self._control = Gauge(
            "masker_fleet_control_database_up", "Whether the control database answers.", registry=registry
        )
        self._reconciled = Gauge(
            "masker_fleet_reconciled_timestamp_seconds",
            "When the fleet last looked at what is wanted.",
            registry=registry,
        )

    def wanted(self, deployments: Collection[Deployment]) -> None:
        """What the control database asks for, as just read."""
        self._wanted.replace({(d.version, d.semver): d.replicas for d in deployments})
        for deployment in deployments:
            self._restarts.labels(deployment.version)  # from zero on: an increase from nothing is none to Prometheus
        self._reconciled.set_to_current_time()

    def control_database(self, *, answers: bool) -> None:
        self._control.set(answers)

    def seen(self, endpoint: Endpoint) -> None:
        """A server's state, each time that it is recorded. Raises OSError when the file cannot be written."""
        before = self._endpoints.get(endpoint.slot)
        self._endpoints[endpoint.slot] = endpoint
        # What happened before this fleet first saw a pod, an earlier fleet has counted.
        restarted = max(0, endpoint.restarts - before.restarts) if before else 0
        if before is not None and restarted:
            self._restarts.labels(endpoint.version).inc(restarted)
            if before.state not in ENDED:  # a container that Kubernetes started again between two looks
                self._ends.labels(endpoint.version, "failed").inc()
        if before is None or endpoint.state != before.state or restarted:
            self._changed(endpoint)
        self._show()

    def all_seen(self, endpoints: Collection[Endpoint]) -> None:
        """The states of all servers that there are, where they are looked at together; others have ended."""
        for slot in self._endpoints.keys() - {endpoint.slot for endpoint in endpoints}:
            self.gone(slot)
        for endpoint in endpoints:
            self.seen(endpoint)

    def gone(self, slot: str) -> None:
        """A server that is no longer wanted has ended. Raises OSError when the file cannot be written."""
        self._endpoints.pop(slot, None)
        self._began.pop(slot, None)
        self._show()

    def _changed(self, endpoint: Endpoint) -> None:
        if endpoint.state in ENDED:
            self._ends.labels(endpoint.version, endpoint.state).inc()
            self._began.pop(endpoint.slot, None)
        elif endpoint.state == "starting":
            self._began.setdefault(endpoint.slot, time.monotonic())
        elif endpoint.state == "ready" and (began := self._began.pop(endpoint.slot, None)) is not None:
            self._start.labels(endpoint.version).observe(time.monotonic() - began)

    def _show(self) -> None:
        self._servers.replace(Counts((e.version, e.state) for e in self._endpoints.values()))
        if self._file is None:
            return
        document = json.dumps([target(e) for _, e in sorted(self._endpoints.items())], indent=1)
        if document != self._written:
            artifacts.write_bytes(str(self._file), document.encode())
            self._written = document


def target(endpoint: Endpoint) -> dict[str, object]:
    """One entry of the file. The version's number is a metric of the server itself, so it is no label here."""
    return {"targets": [urlsplit(endpoint.url).netloc], "labels": {"slot": endpoint.slot}}
