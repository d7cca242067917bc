"""`masker experiments`: plan, assign, analyse, report; the commands on stored events are in `experiment_steps`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from pydantic import BaseModel
from rich.console import Console, RenderableType

from identity_masker.cli import experiment_steps, step
from identity_masker.settings import settings


@click.group()
def command() -> None:
    """Compare versions on what users do: plan, assign, analyse and report experiments."""


@command.command()
@click.argument("experiment", metavar="FILE|NAME")
@click.option("--units-per-day", type=float, help="New units a day.  [default: the file's schedule.units_per_day]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def plan(experiment: str, units_per_day: float | None, as_json: bool) -> None:
    """Sample size, detectable effect, days and exact power of an experiment.

    Exit code 2, with the reasons, when the experiment cannot answer its question as planned.
    """
    from identity_masker.errors import BadInputError
    from identity_masker.experiments import catalog
    from identity_masker.experiments.plan import plan as planned
    from identity_masker.experiments.terminal import shown_plan

    result = planned(catalog.load(experiment), units_per_day)
    _finish(result, shown_plan(result), as_json=as_json)
    if not result.answerable:
        raise BadInputError("the experiment cannot answer its question as planned", got="; ".join(result.reasons))


@command.command()
@click.argument("experiment", metavar="NAME|FILE")
@click.option("--unit", required=True, help="Name of the user or session.")
@click.option("--attributes", default="{}", show_default=True, help="What is known of the unit, as a JSON object.")
@click.option("--as-if-running", is_flag=True, help="Also for drafts and stopped experiments.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def assign(experiment: str, unit: str, attributes: str, as_if_running: bool, as_json: bool) -> None:
    """The variant that a unit gets, and why: the same function that the gateway uses."""
    from identity_masker.experiments import catalog
    from identity_masker.experiments.placement import place, read_attributes

    result = place(catalog.load(experiment), unit, read_attributes(attributes), as_if_running=as_if_running)
    step.finish(result, as_json=as_json)


@command.command()
@click.option("--config", required=True, metavar="FILE|NAME", help="The experiment.")
@click.option("--exposures", required=True, help="Parquet or CSV: unit, variant, timestamp, attributes.")
@click.option(
    "--outcomes", required=True, help="Parquet or CSV: unit, outcome, value, timestamp; or a column a metric."
)
@click.option("--as-of", type=click.DateTime(), help="Time (UTC) up to which the data are complete.")
@click.option("--others", help="Exposures of other experiments (unit, experiment, variant), to find interactions.")
@click.option("--save", is_flag=True, help="Keep the evidence in the store, for `masker experiments report`.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def analyze(
    config: str, exposures: str, outcomes: str, as_of: object, others: str | None, save: bool, as_json: bool
) -> None:
    """Health, results and decision of an experiment from files alone."""
    from datetime import datetime

    from identity_masker.experiments import archive, catalog
    from identity_masker.experiments.evaluation import evaluate_files
    from identity_masker.experiments.terminal import shown_report

    moment = as_of if isinstance(as_of, datetime) else None
    evidence, result = evaluate_files(catalog.load(config), exposures, outcomes, as_of=moment, others=others)
    if save:
        archive.save(evidence)
    _finish(result, shown_report(result), as_json=as_json)


@command.command()
@click.argument("experiment", metavar="NAME|FILE")
@click.option("--exposures", help="Parquet or CSV.  [default: the stored evidence]")
@click.option("--outcomes", help="Parquet or CSV.  [default: the stored evidence]")
@click.option("--output", type=click.Path(path_type=Path), help="The page.  [default: NAME.html]")
@click.option("--pictures", type=click.Path(file_okay=False, path_type=Path), help="Folder for the figures as PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def report(
    experiment: str,
    exposures: str | None,
    outcomes: str | None,
    output: Path | None,
    pictures: Path | None,
    as_json: bool,
) -> None:
    """One self-contained HTML page on an experiment."""
    from identity_masker.experiments import catalog
    from identity_masker.experiments.publishing import publish

    design = catalog.load(experiment)
    result = publish(design, exposures, outcomes, output or Path(f"{design.name}.html"), pictures)
    step.finish(result, as_json=as_json)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(as_json: bool) -> None:
    """Validate every experiment of the configuration, and that none overlap in a layer."""
    from identity_masker.experiments import catalog
    from identity_masker.experiments.placement import Checked

    found = catalog.load_all()
    step.finish(Checked(experiments={each.name: each.status for each in found}), as_json=as_json)


@command.command()
def schema() -> None:
    """The JSON schema of an experiment's file, as docs/experiment.schema.json holds it."""
    import json

    from identity_masker.experiments.design import Experiment

    click.echo(json.dumps(Experiment.model_json_schema(), indent=2, sort_keys=True))


for _step in experiment_steps.COMMANDS:
    command.add_command(_step)


def _finish(result: BaseModel, shown: RenderableType, *, as_json: bool) -> None:
    """As `step.finish`, with `shown` instead of a plain table on a terminal."""
    if sys.stdout.isatty() and not as_json and settings().result is None:
        Console().print(shown)
    else:
        step.finish(result, as_json=as_json)
