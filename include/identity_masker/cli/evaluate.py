"""`masker evaluate`: attack a trained masker."""

from __future__ import annotations

import click

from identity_masker.cli import step


@click.command()
@click.option("--run", "run_id", required=True, help="MLflow run of the training, as `masker train` prints it.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run_id: str, as_json: bool) -> None:
    """Attack the masker of a run with networks that look for the person, and measure what is left of use.

    Evidence, report and pictures are stored with the run.
    """
    from identity_masker.registry.evaluate_step import evaluate_step

    step.finish(evaluate_step(run_id), as_json=as_json)
