"""Prometheus metrics of HTTP services. Labels never hold a user, a path with parameters or an address."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from identity_masker.telemetry.exposition import process_registry

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class HttpMetrics:
    """Requests by route and status, their time, and how many are in flight.

    Each service has a registry of its own, so that several can live in one process.
    """

    def __init__(self, service: str) -> None:
        self.registry = process_registry()
        self.requests = Counter(
            f"masker_{service}_requests", "Answered requests.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            f"masker_{service}_request_duration_seconds",
            "Time from the request's first byte to the response's last.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        built = Gauge(
            "masker_build_info", "The version of the program.", ["service", "version"], registry=self.registry
        )
        built.labels(service, version("identity-masker")).set(1)
        self.in_flight = Gauge(
            f"masker_{service}_requests_in_flight", "Requests being answered.", registry=self.registry
        )

        # Looked up once: `labels` takes a lock and makes a key of its values each time.
        self._count = lru_cache(maxsize=1024)(lambda route, status: self.requests.labels(route, str(status)))
        self._time = lru_cache(maxsize=256)(lambda route: self.seconds.labels(route))

    def observe(self, route: str, status: int, seconds: float) -> None:
        self._count(route, status).inc()
        self._time(route).observe(seconds)

    def exposition(self) -> bytes:
        """The metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
