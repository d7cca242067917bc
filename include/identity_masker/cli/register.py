"""`masker register`: the gate, and the registry."""

from __future__ import annotations

import click

from identity_masker.cli import step


@click.command()
@click.option("--run", "run_id", required=True, help="MLflow run that `masker evaluate` has evaluated.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run_id: str, as_json: bool) -> None:
    """Judge an evaluated masker by the `gate:` section of its model and register it with the verdict.

    An accepted one becomes `challenger`; a rejected one is kept with its reasons and is never served.
    """
    from identity_masker.registry.register_step import register_step

    step.finish(register_step(run_id), as_json=as_json)
