"""`masker drift`: compare two windows of data, make references, judge stored evidence again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_masker.cli import step
from identity_masker.cli.drift_policy import policy_of, policy_option
from identity_masker.cli.drift_traffic import COMMANDS
from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.drift.comparison import CompareResult

SHOWN = 30
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
report_option = click.option("--report", "report_uri", metavar="FILE", help="Write a report there, one HTML page.")
version_option = click.option("--model-version", help="Version of the model that the reference belongs to.")


@click.group()
def command() -> None:
    """Compare what comes in now with what the model was trained on."""


for _each in COMMANDS:
    command.add_command(_each)


@command.command()
@click.option(
    "--reference", required=True, help="Table (.parquet, .csv, a pattern) or folder made by `masker drift summarise`."
)
@click.option("--current", required=True, help="Table of the window to judge.")
@policy_option
@version_option
@report_option
@click.option("--evidence", "evidence_uri", metavar="FILE", help="Write there what the verdict rests on, as JSON.")
@json_option
def compare(
    reference: str,
    current: str,
    policy_path: Path | None,
    model_version: str | None,
    report_uri: str | None,
    evidence_uri: str | None,
    as_json: bool,
) -> None:
    """Compare two tables column by column: drift, no_drift, not_enough_data or schema_changed.

    A column has drift when it differs significantly, at a rate of one false alarm in so many nights over all columns,
    and by at least the floor of its kind. Exits with 0 whatever the verdict.
    """
    from identity_masker.drift.comparison import compare_sources

    result = compare_sources(
        reference,
        current,
        policy_of(policy_path),
        model_version=model_version,
        report_uri=report_uri,
        evidence_uri=evidence_uri,
        threads=settings().threads or 1,
    )
    _finish(result, as_json=as_json)


@command.command()
@click.option("--evidence", "evidence_uri", required=True, help="File that `masker drift compare --evidence` wrote.")
@policy_option
@click.option("--traffic", is_flag=True, help="As the nightly check: with what the policy knows of request events.")
@report_option
@json_option
def judge(evidence_uri: str, policy_path: Path | None, traffic: bool, report_uri: str | None, as_json: bool) -> None:
    """Judge stored evidence again: the same verdict under the same policy, or that of another policy."""
    from identity_masker.drift.comparison import judge_stored

    policy = policy_of(policy_path)
    result = judge_stored(evidence_uri, policy.of_traffic() if traffic else policy, report_uri=report_uri)
    _finish(result, as_json=as_json)


@command.command()
@click.option("--table", required=True, help="Table (.parquet, .csv, a pattern that names several files).")
@click.option("--output", required=True, help="Folder or URI to store the reference under.")
@policy_option
@version_option
@click.option("--dataset", help="Dataset version that the table comes from.")
@click.option("--memory", default="512MB", show_default=True, help="What DuckDB may use to read the table.")
@json_option
def summarise(
    table: str,
    output: str,
    policy_path: Path | None,
    model_version: str | None,
    dataset: str | None,
    memory: str,
    as_json: bool,
) -> None:
    """Make a reference of a table of any size, to compare windows with without the table."""
    from identity_masker.drift.comparison import make_reference

    result = make_reference(
        table,
        output,
        policy_of(policy_path),
        model_version=model_version,
        dataset=dataset,
        threads=settings().threads or 1,
        memory=memory,
    )
    step.finish(result, as_json=as_json)


def _finish(result: CompareResult, *, as_json: bool) -> None:
    if as_json or not sys.stdout.isatty() or settings().result is not None:
        step.finish(result, as_json=as_json)
        return
    step.record(result.model_dump(mode="json"))
    _print(result)


def _print(result: CompareResult) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(f"[bold]{result.verdict.replace('_', ' ')}[/bold]")
    for reason in result.reasons[:SHOWN]:
        console.print("  " + escape(reason))
    table = Table(box=None)
    for name in ("column", "drift", "effect", "interval", "adjusted p", "KS", "PSI", "Wasserstein"):
        table.add_column(name)
    order = sorted(result.columns, key=lambda column: (not column.drift, -(column.effect or 0.0)))
    for column in order[:SHOWN]:
        interval = "" if column.effect is None else f"{column.effect_low:.3g} to {column.effect_high:.3g}"
        numbers = (column.adjusted_p_value, column.ks, column.psi, column.wasserstein)
        texts = ["" if number is None else f"{number:.3g}" for number in (column.effect, *numbers)]
        table.add_row(escape(column.name), "yes" if column.drift else "no", texts[0], interval, *texts[1:])
    console.print(table)
    if len(order) > SHOWN:
        console.print(f"{len(order) - SHOWN} more columns: --json shows all")
