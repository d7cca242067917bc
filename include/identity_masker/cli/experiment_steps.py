"""`masker experiments run` and what goes with it: the commands on the event store and the control database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from identity_masker.cli import step

NAME = click.argument("experiment", metavar="NAME")
MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
AS_OF = click.option(
    "--as-of",
    type=click.DateTime(MOMENTS),
    help="Evaluate the events before this time, UTC without a zone.  [default: last midnight]",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.command()
@click.option("--names", default="", help="Experiments, separated by commas.  [default: all that run]")
@AS_OF
@JSON
def due(names: str, as_of: datetime | None, as_json: bool) -> None:
    """The experiments to evaluate: those that run and were not stopped."""
    from identity_masker.experiments import run_step

    chosen = [name.strip() for name in names.split(",") if name.strip()]
    step.finish(run_step.due(chosen, as_of), as_json=as_json)


@click.command()
@NAME
@AS_OF
@JSON
def run(experiment: str, as_of: datetime | None, as_json: bool) -> None:
    """Evaluate an experiment from the event store: health, analysis, decision, report.

    Evidence, report and page go to the store, page and figures to MLflow.
    """
    from identity_masker.experiments import run_step

    step.finish(run_step.run(experiment, as_of), as_json=as_json)


@click.command()
@NAME
@AS_OF
@JSON
def adjust(experiment: str, as_of: datetime | None, as_json: bool) -> None:
    """Write what an evaluation asks for to the control database: new weights, or the end of entry."""
    from identity_masker.experiments import run_step

    step.finish(run_step.adjust(experiment, as_of), as_json=as_json)


@click.command()
@click.option(
    "--timeout", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds for servers to become ready."
)
@JSON
def serve(timeout: float, as_json: bool) -> None:
    """Model servers for every variant of the experiments that run; those of experiments that ended are let go."""
    from identity_masker.experiments import serve_step

    step.finish(serve_step.serve(timeout), as_json=as_json)


@click.command()
@NAME
@click.option("--set", "given", help="""New weights as a JSON object, like '{"control": 0.5, "softer": 0.5}'.""")
@click.option("--stop", is_flag=True, help="No unit enters any more.")
@click.option("--resume", is_flag=True, help="Units enter again, with the weights in force.")
@click.option("--reason", default="", help="Why; kept with the weights.")
@click.option("--author", default="", help="Who.  [default: the user of this machine]")
@JSON
def weights(
    experiment: str, given: str | None, stop: bool, resume: bool, reason: str, author: str, as_json: bool
) -> None:
    """The weights of an experiment and their history; or new ones, written beside the old."""
    from identity_masker.errors import BadInputError
    from identity_masker.experiments import weights_step

    if (given is not None) + stop + resume > 1:
        raise BadInputError("only one of --set, --stop and --resume at a time")
    if given is None and not stop and not resume:
        step.finish(weights_step.history(experiment), as_json=as_json)
        return
    if not reason.strip():
        raise BadInputError("a change of weights needs a reason", fix="pass --reason")
    step.finish(
        weights_step.change(experiment, _weights(given), author=author, reason=reason, stop=stop), as_json=as_json
    )


@click.command()
@click.argument("experiment", metavar="NAME|FILE")
@click.option("--store", required=True, help="Where to write the events: a folder or s3://, of its own.")
@click.option("--start", type=click.DateTime(), required=True, help="First day (UTC).")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="Days in which units enter.")
@click.option("--units-per-day", type=click.IntRange(1), default=1000, show_default=True, help="Before targeting.")
@click.option(
    "--effects", default="{}", show_default=True, help="""Relative change by outcome, like '{"masks": 0.1}'."""
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@JSON
def simulate(
    experiment: str, store: str, start: datetime, days: int, units_per_day: int, effects: str, seed: int, as_json: bool
) -> None:
    """Write events of an experiment with known effects into a store, to see whether they are found.

    Set MASKER_STORE_URI to that store and run `masker experiments run NAME --as-of …`.
    """
    from identity_masker.experiments import catalog
    from identity_masker.experiments.simulation import Traffic, simulate

    traffic = Traffic(
        start=start.replace(tzinfo=UTC), days=days, units_per_day=units_per_day, effects=_weights(effects), seed=seed
    )
    step.finish(simulate(catalog.load(experiment), traffic, store), as_json=as_json)


def _weights(text: str | None) -> dict[str, float]:
    """Numbers by name, from a JSON object; empty for None."""
    from identity_masker.errors import BadInputError

    if text is None:
        return {}
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInputError("this is not JSON", got=f"{text!r}: {error}") from error
    if not isinstance(found, dict) or not all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in found.values()
    ):
        raise BadInputError("not an object of numbers by name", got=text, allowed='something like {"masks": 0.1}')
    return {str(name): float(value) for name, value in found.items()}


COMMANDS = (due, run, adjust, serve, weights, simulate)
