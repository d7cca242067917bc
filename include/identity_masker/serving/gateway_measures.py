"""Metrics of routing, beside those of HTTP."""

from __future__ import annotations

import time
from collections import Counter as Counts

from prometheus_client import Counter, Gauge

from identity_masker.serving.answers import Answers
from identity_masker.serving.board import Board, Server
from identity_masker.telemetry.metrics import HttpMetrics
from identity_masker.telemetry.whole_gauge import WholeGauge

REFUSALS = frozenset({"overloaded", "no_server", "no_model"})


class GatewayMeasures:
    """What the gateway decided, and what its board shows."""

    def __init__(self, metrics: HttpMetrics, board: Board) -> None:
        registry = metrics.registry
        self._board = board
        self._chosen = Counter(
            "masker_gateway_decisions",
            "Requests by the variant they went to, and why not to the one drawn.",
            ["variant", "fallback"],
            registry=registry,
        )
        self._revision = Gauge("masker_gateway_routing_revision", "Revision of the routing table.", registry=registry)
        self._share = WholeGauge("masker_gateway_share", "Share by the table.", ["variant", "semver"], registry)
        self._lease = WholeGauge(
            "masker_gateway_lease_expires_timestamp_seconds",
            "When the share of a variant goes back to the champion unless its lease is renewed.",
            ["variant"],
            registry,
        )
        self._servers = WholeGauge(
            "masker_gateway_servers",
            "Model servers that the gateway knows, by state; ejected: ready, but left out after failures.",
            ["version", "state"],
            registry,
        )
        self._read = Gauge(
            "masker_gateway_control_read_timestamp_seconds",
            "When the control database was last read with success.",
            registry=registry,
        )
        self.taken = Gauge("masker_gateway_places_taken", "Requests taken on and not answered.", registry=registry)
        self._rejected = Counter(
            "masker_gateway_rejected",
            "Requests refused because of load or without a model: overloaded, no_server, no_model.",
            ["reason"],
            registry=registry,
        )
        self._upstream = Counter(
            "masker_gateway_upstream_failures",
            "Connections to a model server that failed.",
            ["version"],
            registry=registry,
        )
        self.unassigned = Counter(
            "masker_gateway_assignment_failures", "Requests without experiments after an error.", registry=registry
        )
        self._retries = Counter(
            "masker_gateway_retries", "Requests sent to a second server, or again.", registry=registry
        )
        self._hedges = Counter(
            "masker_gateway_hedges",
            "Requests sent to a second server while the first one worked on them.",
            registry=registry,
        )
        self.unmirrored = Counter(
            "masker_gateway_mirror_dropped", "Requests not copied to a shadow because of load.", registry=registry
        )
        self.answers = Answers(registry)
        for reason in sorted(REFUSALS):
            self._rejected.labels(reason)
        self._seen = 0

    def chosen(self, variant: str, fallback: str) -> None:
        self._chosen.labels(variant, fallback).inc()

    def rejected(self, reason: str) -> None:
        """Count a refusal; other problems of a request are in the HTTP metrics by their status."""
        if reason in REFUSALS:
            self._rejected.labels(reason).inc()

    def retried(self) -> None:
        self._retries.inc()

    def hedged(self) -> None:
        self._hedges.inc()

    def failed(self, version: str) -> None:
        self._upstream.labels(version).inc()

    def update(self) -> None:
        """Follow the board after it was read."""
        self._read.set_to_current_time()
        now = time.monotonic()
        self._servers.replace(Counts((s.endpoint.version, state(s, now)) for s in self._board.servers.values()))
        self._follow()

    def _follow(self) -> None:
        revision = self._board.revision
        if revision is None or revision.number == self._seen:
            return
        self._seen = revision.number
        self._revision.set(revision.number)
        variants = revision.table.variants
        self._share.replace({(name, each.semver): each.share for name, each in variants.items()})
        leases = {name: each.lease_expires_at for name, each in variants.items()}
        self._lease.replace({(name,): at.timestamp() for name, at in leases.items() if at is not None})


def state(server: Server, now: float) -> str:
    """The state of a model server as this gateway treats it. `now`: by the monotonic clock."""
    if server.endpoint.state == "ready" and not server.trusted(now):
        return "ejected"
    return server.endpoint.state
