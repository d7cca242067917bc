"""`masker events`: compact the event log and look at it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from identity_masker.cli import step
from identity_masker.cli.since import start_of
from identity_masker.settings import settings


@click.group()
def command() -> None:
    """Requests, exposures and outcomes: compact the log that servers append to, and look at it."""


@command.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Folder of the log.  [default: MASKER_EVENTS_DIR]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def compact(folder: Path | None, as_json: bool) -> None:
    """Move what servers have appended into Parquet files by hour, and mark the hours that are whole.

    May be repeated and interrupted at any time: no event is lost or stored twice.
    """
    from identity_masker import artifacts
    from identity_masker.telemetry import events
    from identity_masker.telemetry.events import samples
    from identity_masker.telemetry.events.expiry import expire

    config = settings()
    now = datetime.now(UTC)
    result = events.compact(folder or config.events, config.store, now)
    expire(artifacts.join(config.store, "events", "examples"), config.example_days, now)
    expire(artifacts.join(config.store, samples.FOLDER), config.sample_days, now)
    step.finish(result, as_json=as_json)


@command.command()
@click.option("--kind", default="requests", show_default=True, help="requests, exposures, outcomes or examples.")
@click.option("--since", default="1h", show_default=True, help="Age (30m, 12h, 7d) or ISO time; UTC without a zone.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def show(kind: str, since: str, limit: int, as_json: bool) -> None:
    """The newest events, also those that were not compacted yet."""
    from identity_masker.telemetry.events import kinds, reading

    config = settings()
    found = reading.newest(config.events, config.store, kinds.kind(kind), start_of(since), limit)
    if sys.stdout.isatty() and not as_json:
        _print(found)
        return
    for event in found:
        print(json.dumps(event, allow_nan=False))


@command.command()
@click.argument("user")
def unit(user: str) -> None:
    """The hash under which events hold USER, for instance for the `forced` list of an experiment."""
    from identity_masker.serving import units

    print(units.unit(settings().unit_key.get_secret_value(), user))


class Withdrawn(BaseModel):
    """How many pictures of a unit were removed."""

    unit: str
    removed: int


@command.command()
@click.argument("user")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def withdraw(user: str, as_json: bool) -> None:
    """Remove every picture that was kept of USER's requests: consent was taken back. Their events stay."""
    from identity_masker.serving import units
    from identity_masker.telemetry.events import samples

    config = settings()
    unit = units.unit(config.unit_key.get_secret_value(), user)
    removed = samples.withdraw(config.events, config.store, unit)
    step.finish(Withdrawn(unit=unit, removed=removed), as_json=as_json)


def _print(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for name in found[0] if found else ():
        if name != "event_id":
            table.add_column(name)
    for event in found:
        table.add_row(*(escape(_text(value)) for name, value in event.items() if name != "event_id"))
    Console().print(table if found else "no events")


def _text(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
