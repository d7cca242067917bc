"""`masker data`: bring in faces, validate them, list and show their versions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from pydantic import BaseModel

from identity_masker.cli import step
from identity_masker.cli.data_versions import aids, checkout, diff, forget, gc, verify
from identity_masker.errors import BadInputError
from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.faces.data_repository import Places
    from identity_masker.faces.dataset_config import DatasetConfig

FOLDER_CONFIG, DEFAULT_CONFIG = "folder", "rendered"


class LogResult(BaseModel):
    """The versions there are, newest first."""

    versions: list[dict[str, object]]


class ShowResult(BaseModel):
    """A version's record and the report of its last validation."""

    version: str
    state: str
    record: dict[str, object]
    validation: dict[str, object] | None


def _sources(to: Callable[..., None]) -> Callable[..., None]:
    """The options that say what to read."""
    for option in (
        click.option("--images", type=click.IntRange(min=1), help="Bring in so many pictures at most."),
        click.option("--name", help="Name of the dataset in the store; default: the configuration's."),
        click.option(
            "--source",
            help="Folder with one sub-folder a person, archive, video, or URI of a manifest; uses the configuration "
            "`folder` unless --config says another.",
        ),
        click.option("--config", "config_name", help="Dataset configuration: a name in include/config/datasets."),
    ):
        to = option(to)
    return to


@click.group()
def command() -> None:
    """Bring in, validate and version faces."""


@command.command()
@_sources
@click.option("--plan", help="Make the version of this plan, as `masker data plan` named it; takes no other option.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def ingest(
    config_name: str | None, source: str | None, name: str | None, images: int | None, plan: str | None, as_json: bool
) -> None:
    """Read a source of faces into a new dataset version, which is pending until it is validated.

    Every input is accepted, quarantined with a reason, or a duplicate of an accepted one; nothing in the source
    is changed. Only what is new or changed is read. The same source gives the same version again; an ingestion that
    was killed goes on where it ended.
    """
    from identity_masker.faces import ingest as ingestion
    from identity_masker.faces.ingest_results import SourceRefusedError

    places, threads = _places(), _threads()
    try:
        if plan is None:
            result = ingestion.ingest(_reading(config_name, source, name, images), places, threads)
        elif given := [option for option in (config_name, source, name, images) if option is not None]:
            raise BadInputError(
                "a plan says already what to read", got=f"--plan and {given[0]}", fix="give one of them"
            )
        else:
            result = ingestion.carry_out(plan, places, threads)
    except SourceRefusedError as refused:
        if as_json:
            click.echo(refused.result.model_dump_json())
        raise
    step.finish(result, as_json=as_json)


@command.command()
@_sources
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def plan(config_name: str | None, source: str | None, name: str | None, images: int | None, as_json: bool) -> None:
    """List a source and say what in it is new, as parts that several machines can read.

    Then comes `masker data read` for each part, and `masker data ingest --plan` makes the version.
    """
    from identity_masker.faces import ingest as ingestion

    step.finish(ingestion.plan(_reading(config_name, source, name, images), _places(), _threads()), as_json=as_json)


@command.command()
@click.option("--plan", required=True, help="The plan, as `masker data plan` named it.")
@click.option("--part", type=click.IntRange(min=0), required=True, help="Which part of it.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def read(plan: str, part: int, as_json: bool) -> None:
    """Read one part of a plan; what of it was read before is not read again."""
    from identity_masker.faces import ingest as ingestion

    step.finish(ingestion.read(plan, part, _places(), _threads()), as_json=as_json)


@command.command()
@click.option("--dataset", default="latest", help="Version, as `masker data ingest` named it; default: the newest.")
@click.option("--config", "config_name", help="Take the rules of this configuration, not those of the ingestion.")
@click.option("--consent", help="Table of who agreed: CSV or Parquet.  [default: that of the configuration]")
@click.option(
    "--examiner", help="Who tells people apart: a folder, or `registry`; default: how pictures look from afar."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def validate(dataset: str, config_name: str | None, consent: str | None, examiner: str | None, as_json: bool) -> None:
    """Check a dataset version against its rules; only a version that passes can be trained on.

    Exits with 2 when a rule of severity `stop` is broken.
    """
    from identity_masker.faces.snapshot import open_from
    from identity_masker.faces.validation import RulesBrokenError
    from identity_masker.faces.validation import validate as run
    from identity_masker.faces.versions import VersionStore

    versions = VersionStore(settings().store)
    snapshot = open_from(versions.newest(dataset), _places(), validated=False)
    config = _config(config_name or snapshot.record.config["rules_from"] or snapshot.record.name, None)
    try:
        result = run(snapshot, config.rules, versions, aids(snapshot, consent or config.consent, examiner))
    except RulesBrokenError as broken:
        if as_json:
            click.echo(broken.result.model_dump_json())
        raise
    step.finish(result, as_json=as_json)


@command.command()
@click.option("--name", help="Only the versions of this dataset.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def log(name: str | None, as_json: bool) -> None:
    """List the dataset versions, newest first, with their state and what changed."""
    from identity_masker.faces.versions import VersionStore

    versions = VersionStore(settings().store)
    names = [name] if name else versions.datasets()
    records = [record for each in names for record in versions.records(each)]
    rows: list[dict[str, object]] = [
        {
            "version": record.version,
            "state": versions.state(record.name, record.semver),
            "created_at": record.created_at.isoformat(timespec="seconds"),
            "images": record.counts.accepted,
            "people": record.counts.people,
            **record.changelog.model_dump(),
        }
        for record in sorted(records, key=lambda record: record.created_at, reverse=True)
    ]
    if as_json or not sys.stdout.isatty():
        step.finish(LogResult(versions=rows), as_json=as_json)
    else:
        _print_versions(rows)


@command.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def show(version: str, as_json: bool) -> None:
    """Show the record of VERSION and the report of its last validation."""
    from identity_masker.faces.versions import VersionStore

    versions = VersionStore(settings().store)
    record = versions.record(versions.newest(version))
    result = ShowResult(
        version=record.version,
        state=versions.state(record.name, record.semver),
        record=record.model_dump(mode="json"),
        validation=versions.validation(record.name, record.semver),
    )
    step.finish(result, as_json=as_json)


for each in (diff, checkout, verify, gc, forget):
    command.add_command(each)


def _print_versions(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for column in rows[0] if rows else ["no version yet: run `masker data ingest`"]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)


def _places() -> Places:
    from identity_masker.faces.data_repository import Places

    return Places(settings().home, settings().store)


def _threads() -> int:
    return settings().threads or len(os.sched_getaffinity(0))


def _reading(config_name: str | None, source: str | None, name: str | None, images: int | None) -> DatasetConfig:
    config = _config(config_name or (FOLDER_CONFIG if source else DEFAULT_CONFIG), name)
    return config.reading(source=source, images=images)


def _config(config_name: str, name: str | None) -> DatasetConfig:
    from identity_masker.faces.dataset_config import load_config

    config = load_config(config_name, settings().config_dir)
    return config if name is None else config.named(name)
