"""`masker drift reference | collect | test | verdict | report | watch`: the nightly check of traffic, step by step."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import click

from identity_masker.cli import step
from identity_masker.cli.drift_policy import policy_of, policy_option
from identity_masker.cli.since import start_of
from identity_masker.drift.traffic_policy import Group
from identity_masker.errors import BadInputError
from identity_masker.settings import settings

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
version_option = click.option(
    "--model-version", default="champion", show_default=True, help="Alias, number of the registry or semantic version."
)
window_option = click.option("--window", required=True, help="Folder that `masker drift collect` names.")


@click.command()
@version_option
@policy_option
@json_option
def reference(model_version: str, policy_path: Path | None, as_json: bool) -> None:
    """Make the reference of a registered version from the data that it was trained on; train_masker does it itself."""
    from identity_masker.drift.model_reference import make_model_reference

    step.finish(make_model_reference(model_version, policy_of(policy_path)), as_json=as_json)


@click.command()
@version_option
@click.option("--night", metavar="DATE", help="A whole day in UTC.  [default: yesterday]")
@click.option("--start", metavar="TIME", help="ISO time, UTC without a zone.")
@click.option("--end", metavar="TIME", help="ISO time after the last event of the window.")
@policy_option
@json_option
def collect(
    model_version: str, night: str | None, start: str | None, end: str | None, policy_path: Path | None, as_json: bool
) -> None:
    """Write a version's traffic of a window into tables, and say which hours of it have not all arrived."""
    from identity_masker.drift.archive import period
    from identity_masker.drift.collect_step import collect_step

    first, last = period(_time(start), _time(end), _day(night), datetime.now(UTC))
    step.finish(collect_step(model_version, first, last, policy_of(policy_path)), as_json=as_json)


@click.command()
@window_option
@click.option("--group", required=True, type=click.Choice(get_args(Group)), help="Group of columns of the policy.")
@policy_option
@json_option
def test(window: str, group: Group, policy_path: Path | None, as_json: bool) -> None:
    """Compare one group of columns of a collected window with its reference, and store the evidence."""
    from identity_masker.drift.group_test import check_group

    step.finish(check_group(window, group, policy_of(policy_path), settings().threads or 1), as_json=as_json)


@click.command()
@window_option
@policy_option
@json_option
def verdict(window: str, policy_path: Path | None, as_json: bool) -> None:
    """Judge a tested window, remember the night, write the report, and log both to MLflow."""
    from identity_masker.drift.night_check import judge_window

    step.finish(judge_window(window, policy_of(policy_path)), as_json=as_json)


@click.command()
@window_option
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Where the page is written.")
@json_option
def report(window: str, output: Path, as_json: bool) -> None:
    """Copy the report of a judged window to a file: one HTML page that needs nothing from elsewhere."""
    from identity_masker.drift.night_verdict import write_report

    step.finish(write_report(window, output), as_json=as_json)


@click.command()
@version_option
@click.option("--since", default="1h", show_default=True, help="Age (30m, 12h, 7d) or ISO time; UTC without a zone.")
@policy_option
@json_option
def watch(model_version: str, since: str, policy_path: Path | None, as_json: bool) -> None:
    """Run the stream detector over the newest requests, also those that were not compacted yet."""
    from identity_masker.drift.collect_step import watch_step

    step.finish(watch_step(model_version, start_of(since), policy_of(policy_path)), as_json=as_json)


COMMANDS = (reference, collect, test, verdict, report, watch)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInputError("this is not a time", got=text, allowed="2026-11-20T06:00 or 2026-11-20") from error


def _day(text: str | None) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInputError("this is not a day", got=text, allowed="2026-11-20") from error
