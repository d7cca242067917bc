"""`/metrics` for processes that serve nothing else: a small HTTP server in threads of its own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from identity_masker.errors import BadInputError, ConflictError


def process_registry() -> CollectorRegistry:
    """A registry with the metrics that every process has: CPU, memory, open files, start time, Python version."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


@contextmanager
def exposed(registry: CollectorRegistry, host: str, port: int, *, variable: str) -> Iterator[str]:
    """Serve the metrics of `registry` while the block runs; gives the URL. Port 0 takes any free one.

    Raises `ConflictError` when the port is taken, `BadInputError` when the address cannot be used; both name
    `variable`, the setting that moves the port.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        where = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(
                "the port of the metrics is taken",
                got=f"another process listens on {where}",
                fix=f"stop it, or set {variable}",
            ) from error
        raise BadInputError(
            "the address of the metrics cannot be listened on",
            got=f"{where}: {os.strerror(error.errno or 0)}",
            allowed="an address of this machine and a port that this user may open",
            fix=f"set MASKER_HOST and {variable}",
        ) from error
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
