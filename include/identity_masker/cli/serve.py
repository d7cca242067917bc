"""`masker serve`: one model server."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from identity_masker.cli import step
from identity_masker.settings import settings


@click.command()
@click.option(
    "--version",
    "references",
    multiple=True,
    default=("champion",),
    show_default=True,
    help="champion, challenger, 1.2.0 or 3. Again for more versions, which clients get when they ask for them.",
)
@click.option(
    "--model-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve the model in this folder instead of one from the registry.",
)
@click.option("--host", help="Address to listen on.  [default: MASKER_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes any free one.  [default: MASKER_SERVER_PORT]")
@click.option(
    "--batch", type=click.IntRange(1, 256), help="Pictures masked in one call.  [default: measured at the start]"
)
@click.option("--capacity", type=click.IntRange(1), default=64, show_default=True, help="Requests taken on at a time.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of one call.")
@click.option("--drain-seconds", type=click.FloatRange(0, 600), default=1.0, show_default=True)
@click.option("--grace-seconds", type=click.FloatRange(0.1, 600), default=10.0, show_default=True)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
@click.option("--parent", type=int, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON once the port is open.")
def command(
    references: tuple[str, ...],
    model_dir: Path | None,
    host: str | None,
    port: int | None,
    batch: int | None,
    capacity: int,
    threads: int,
    drain_seconds: float,
    grace_seconds: float,
    report: Path | None,
    parent: int | None,
    as_json: bool,
) -> None:
    """Run one model server until SIGTERM or Ctrl-C.

    It says "not ready" first, goes on answering for --drain-seconds, and finishes what is in flight within
    --grace-seconds. On SIGHUP it looks again what each --version means, and changes to it without dropping a request.
    """
    from identity_masker.cli.authority import server_guard
    from identity_masker.serving import model
    from identity_masker.serving.engine.loader import Loader
    from identity_masker.serving.queueing import CALL_PIXELS
    from identity_masker.serving.serve import Listening, ServeOptions, serve
    from identity_masker.serving.server import ServerConfig
    from identity_masker.telemetry.tracing import exported

    config = settings()
    options = ServeOptions(
        host=host or config.host,
        port=config.server_port if port is None else port,
        drain_seconds=drain_seconds,
        grace_seconds=grace_seconds,
        server=ServerConfig(batch=batch, capacity=capacity),
        report=report,
        parent=parent,
    )

    fetches = (
        [partial(model.in_folder, model_dir)] if model_dir else [partial(model.fetch, name) for name in references]
    )
    largest = 3 * max(options.server.limits.max_pixels, CALL_PIXELS)
    loaders = [Loader(fetch, threads=threads, largest=largest) for fetch in fetches]

    def announce(listening: Listening) -> None:
        if as_json:
            step.finish(listening, as_json=True)

    with exported("masker-server", config.otlp_url, config.trace_share):
        serve(options, *loaders, announce=announce, guard=server_guard())
