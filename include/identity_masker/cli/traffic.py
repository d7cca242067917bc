"""`masker traffic`: load for a gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from identity_masker.cli import step
from identity_masker.settings import settings


@click.command()
@click.option("--url", help="The gateway.  [default: MASKER_GATEWAY_URL]")
@click.option(
    "--rate", type=click.FloatRange(0, 10_000, min_open=True), default=20.0, show_default=True, help="A second."
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True)
@click.option("--users", type=click.IntRange(1), default=1000, show_default=True, help="Different users.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PNG to send.")
@click.option("--json", "as_json", is_flag=True, help="Print the result on one line.")
def command(
    url: str | None, rate: float, seconds: float, users: int, seed: int, image: Path | None, as_json: bool
) -> None:
    """Send pictures to a gateway at a given rate, whatever it answers, and say what came back."""
    from identity_masker.serving.traffic import TrafficOptions, send

    options = TrafficOptions(url=url or settings().gateway, rate=rate, seconds=seconds, users=users, seed=seed)
    step.finish(asyncio.run(send(options, image.read_bytes() if image else None)), as_json=as_json)
