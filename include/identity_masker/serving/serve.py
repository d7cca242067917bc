"""One model server as a process: from its options to its last words."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import MaskerError
from identity_masker.serving import last_words
from identity_masker.serving.guard import Guard
from identity_masker.serving.model import ServedModel
from identity_masker.serving.process import Runner, die_with_parent, listen
from identity_masker.serving.server import ModelServer, ServerConfig


class ServeOptions(BaseModel):
    """Where a model server listens and how it ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535, description="0 takes any free one.")
    drain_seconds: float = Field(default=1.0, ge=0, le=600)
    grace_seconds: float = Field(default=10.0, gt=0, le=600)
    server: ServerConfig = Field(default_factory=ServerConfig)
    report: Path | None = Field(default=None, description="File that gets the reason when the server fails.")
    parent: int | None = Field(default=None, description="Process whose end is also the end of this server.")


class Listening(BaseModel):
    """Where a service answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str


def serve(
    options: ServeOptions,
    *loaders: Callable[[], ServedModel],
    announce: Callable[[Listening], None] = lambda _: None,
    guard: Guard | None = None,
) -> None:
    """Serve what `loaders` give, the first by default, until SIGTERM or SIGINT; SIGHUP loads again what has changed.

    `announce` is told once the port is open. Without `guard` all may ask. Raises `ConflictError` when the port is
    taken, and what loading raises.
    """
    try:
        if options.parent is not None:
            die_with_parent(options.parent)
        _serve(options, loaders, announce, guard)
    except MaskerError as error:
        if options.report is not None:
            last_words.write(options.report, error)
        raise


def _serve(
    options: ServeOptions,
    loaders: Sequence[Callable[[], ServedModel]],
    announce: Callable[[Listening], None],
    guard: Guard | None,
) -> None:
    listener = listen(options.host, options.port, variable="MASKER_SERVER_PORT")
    announce(Listening(url=f"http://{options.host}:{listener.getsockname()[1]}"))
    server = ModelServer(options.server, guard)
    runner = Runner(
        server.app,
        drain_seconds=options.drain_seconds,
        grace_seconds=options.grace_seconds,
        on_drain=server.drain,
    )
    signal.signal(signal.SIGHUP, lambda _signal, _frame: server.reload())
    server.load(*loaders, failed=runner.stop)
    try:
        runner.serve_on(listener)
    finally:
        server.close()
    if server.failure is not None:
        raise server.failure
