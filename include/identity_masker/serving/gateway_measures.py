"""Metrics of routing, beside those of HTTP."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from identity_masker.serving.answers import Answers
from identity_masker.serving.board import Board
from identity_masker.telemetry.metrics import HttpMetrics


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
        self._share = Gauge("masker_gateway_share", "Share by the table.", ["variant", "semver"], registry=registry)
        self._servers = Gauge("masker_gateway_servers", "Usable model servers.", registry=registry)
        self.unassigned = Counter(
            "masker_gateway_assignment_failures", "Requests without experiments after an error.", registry=registry
        )
        self.retries = Counter("masker_gateway_retries", "Requests sent to a second server.", registry=registry)
        self.unmirrored = Counter(
            "masker_gateway_mirror_dropped", "Requests not copied to a shadow because of load.", registry=registry
        )
        self.answers = Answers(registry)
        self._seen = 0

    def chosen(self, variant: str, fallback: str) -> None:
        self._chosen.labels(variant, fallback).inc()

    def update(self) -> None:
        """Follow the board after it was read."""
        self._servers.set(sum(1 for s in self._board.servers.values() if s.endpoint.state == "ready"))
        revision = self._board.revision
        if revision is None or revision.number == self._seen:
            return
        self._seen = revision.number
        self._revision.set(revision.number)
        self._share.clear()
        for name, variant in revision.table.variants.items():
            self._share.labels(name, variant.semver).set(variant.share)
