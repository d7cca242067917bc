"""`masker up`: the stack on this machine, and one run of the pipeline."""

from __future__ import annotations

import json
from typing import Any

import click

from identity_masker.errors import BadInputError
from identity_masker.settings import settings


def _parameters(_context: click.Context, _option: click.Parameter, value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError as error:
        raise BadInputError("--conf is not JSON", got=value, allowed='an object such as {"images": 2000}') from error
    if not isinstance(parsed, dict):
        raise BadInputError("--conf is not a JSON object", got=value, allowed='an object such as {"images": 2000}')
    return parsed


@click.command()
@click.option("--once", is_flag=True, help="Stop everything when the pipeline has ended; fail if a step failed.")
@click.option(
    "--conf", default="{}", callback=_parameters, help="Parameters of the first run of ingest_faces, as JSON."
)
def command(once: bool, conf: dict[str, Any]) -> None:
    """Start Airflow, MLflow, fleet and gateway, run the pipeline once, and serve until Ctrl-C."""
    from rich.console import Console

    from identity_masker.stack.run import up

    up(settings(), once=once, parameters=conf, console=Console())
