"""`masker exporter`: recorded state as metrics."""

from __future__ import annotations

import signal
import threading

import click

from identity_masker.cli import step
from identity_masker.settings import settings


@click.command()
@click.option("--host", help="Address to listen on.  [default: MASKER_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes any free one.  [default: MASKER_EXPORTER_PORT]")
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON once the port is open.")
def command(host: str | None, port: int | None, as_json: bool) -> None:
    """Show pipelines, data, models, releases, experiments, drift, events and alerts as metrics until SIGTERM or Ctrl-C.

    Each is read in the background, and a scrape gets what was read last. What cannot be read is left out, and
    `masker_exporter_source_up` says so.
    """
    from identity_masker.monitoring import exporter
    from identity_masker.serving.serve import Listening

    config = settings()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())

    def announce(url: str) -> None:
        if as_json:
            step.finish(Listening(url=url), as_json=True)

    where = config.exporter_port if port is None else port
    exporter.run(exporter.sources(config), host or config.host, where, stop, announce)
