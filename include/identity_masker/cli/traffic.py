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
@click.option("--bad", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Share of broken pictures.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Send this one.")
@click.option("--json", "as_json", is_flag=True, help="Print the result on one line.")
def command(
    url: str | None,
    rate: float,
    seconds: float,
    users: int,
    bad: float,
    seed: int,
    image: Path | None,
    as_json: bool,
) -> None:
    """Send faces to a gateway at a given rate, whatever it answers, and say what came back.

    Users come back, some more than others; pictures come in the sizes and formats of phones and cameras, some with a
    key, some cut off; some users tell an outcome. Nothing is sent twice.
    """
    from identity_masker.serving.traffic import TrafficOptions, send

    config = settings()
    options = TrafficOptions(
        url=url or config.gateway, rate=rate, seconds=seconds, users=users, bad=bad, seed=seed,
        token=config.token.get_secret_value() if config.token else None,
    )  # fmt: skip
    step.finish(asyncio.run(send(options, [image.read_bytes()] if image else [])), as_json=as_json)
