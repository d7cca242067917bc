"""Runs an application as a process: the socket first, the signals in order, and no request dropped at the end."""

from __future__ import annotations

import ctypes
import errno
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp

from identity_masker.errors import BadInputError, ConflictError
from identity_masker.serving.connections import Bounds, allow_files, bounded
from identity_masker.telemetry import logs

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""Longer than the gateway keeps an idle connection, so that it is the gateway that closes it."""

YOUNG_OBJECTS = 20_000
"""Objects that are made before the collector looks for cycles among them. A request leaves none behind unless it fails;
looking after every 700, as Python does, took a tenth of the processor time of small requests."""

SWITCH_SECONDS = 0.0005
"""After which a thread that waits for the interpreter gets it. Python's 5 ms is five times what a gateway may add to a
request, and another thread of it is at work with a picture most of the time."""

_PR_SET_PDEATHSIG = 1
log = logs.logger(__name__)


def listen(host: str, port: int, *, variable: str) -> socket.socket:
    """A listening socket. Clients that connect before the application runs wait in its queue.

    Raises `ConflictError` when the port is taken, `BadInputError` when the address cannot be used; both name
    `variable`, the setting that moves the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(
                f"port {port} is taken",
                got=f"another process listens on {host}:{port}",
                fix=f"stop it, or choose another port with --port or {variable}",
            ) from error
        raise BadInputError(
            "the address cannot be listened on",
            got=f"{host}:{port}: {os.strerror(error.errno or 0)}",
            allowed="an address of this machine and a port that this user may open",
            fix=f"set --host (MASKER_HOST) and --port ({variable})",
        ) from error
    listener.setblocking(False)
    return listener


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the process `parent` ends, however it ends.

    Raises `ConflictError` when it has ended already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise ConflictError("the process that started this server has ended", got=f"parent {os.getppid()}")


class Tls(NamedTuple):
    """Files of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path


def tls(certificate: Path | None, key: Path | None) -> Tls | None:
    """Both files, or None for plain HTTP. Raises `BadInputError` for one without the other, or one that is no such."""
    if certificate is None and key is None:
        return None
    try:
        if certificate is None or key is None:
            raise FileNotFoundError("one of the two is not set")
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:
        raise BadInputError(
            "the certificate of TLS cannot be used",
            got=f"{certificate} and {key}: {error}",
            allowed="a certificate with its chain and the key to it, as PEM",
            fix="correct MASKER_TLS_CERTIFICATE and MASKER_TLS_KEY",
        ) from error
    return Tls(certificate, key)


@contextmanager
def _for_answers() -> Iterator[None]:
    """Have the interpreter see to the event loop first: what other threads and the collector of cycles do can wait."""
    gc.collect()
    gc.freeze()  # what is there now stays there
    threshold, switch = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(switch)
        gc.set_threshold(*threshold)
        gc.unfreeze()


class Runner(uvicorn.Server):
    """Serves until SIGTERM or SIGINT.

    On the first signal the application is told (it answers "not ready") and goes on serving for
    `drain_seconds`, so that load balancers notice; then the listener closes, requests in flight are finished for
    up to `grace_seconds`, and the process ends with 0. A second signal skips the wait.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        drain_seconds: float,
        grace_seconds: float,
        on_drain: Callable[[], None],
        bounds: Bounds = Bounds(),  # noqa: B008 - immutable
        tls: Tls | None = None,
    ) -> None:
        within = bounds._replace(connections=allow_files(bounds.connections))
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=bounded(within),
                ssl_certfile=tls and str(tls.certificate),
                ssl_keyfile=tls and str(tls.key),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(grace_seconds)),
            )
        )
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._stop_at = float("inf")

    def serve_on(self, listener: socket.socket) -> None:
        """Block until stopped."""
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        with _for_answers():
            self.run(sockets=[listener])

    def stop(self) -> None:
        """Stop at once, as far as requests in flight allow."""
        self._on_drain()
        self._stop_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        elif self._stop_at == float("inf"):
            self._on_drain()
            self._stop_at = time.monotonic() + self._drain_seconds
        else:
            self._stop_at = 0.0

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)
