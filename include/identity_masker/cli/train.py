"""`masker train`: a masker on a dataset version."""

from __future__ import annotations

import time
import uuid

import click

from identity_masker.cli import step
from identity_masker.settings import settings


@click.command()
@click.option("--model", default="masker-64", show_default=True, help="Name of a file in include/config/models.")
@click.option("--dataset", default="latest", show_default=True, help="Dataset version.")
@click.option("--run-key", default="", help="Name of the training; the same name continues it.  [default: a new one]")
@click.option("--force", is_flag=True, help="Train even when the registry has this very model.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(model: str, dataset: str, run_key: str, force: bool, as_json: bool) -> None:
    """Train a masker on a dataset version and log it as one MLflow run.

    A training that was interrupted continues from its checkpoint when it is started with the same --run-key.

    Several GPUs: torchrun --nproc-per-node=N --no-python masker train ...
    """
    from identity_masker.cli.training_bar import TrainingBar
    from identity_masker.registry.train_step import TrainOptions, train_step

    key = run_key or f"shell/{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}"
    with TrainingBar(interactive=settings().result is None) as bar:
        result = train_step(TrainOptions(model=model, dataset=dataset, run_key=key, force=force), bar.show)
    if result is not None:  # the leader of several processes speaks
        step.finish(result, as_json=as_json)
