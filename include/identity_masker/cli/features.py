"""`masker features`: declare features, bring values in and online, and ask for them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from identity_masker.cli import step
from identity_masker.cli.since import start_of
from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.features.places import FeaturePlaces
    from identity_masker.features.repository import FeatureRepository


class Online(BaseModel):
    """The newest materialised values of one entity."""

    view: str
    entity: str
    key: str
    features: dict[str, Any]


class Versions(BaseModel):
    """The versions that feature views had, oldest first, and the statistics of what was added to them."""

    versions: list[dict[str, Any]]
    additions: list[dict[str, Any]]


class Brought(BaseModel):
    """What was added to a view, and what was brought online after it."""

    view: str
    rows: int
    statistics_uri: str | None
    version: str


class MaterializeResult(BaseModel):
    """The views whose values are online, and for which times."""

    views: list[dict[str, Any]]


class Joined(BaseModel):
    """Where the joined table is, and the version of each view it was made with."""

    output: str
    rows: int
    service: str
    versions: dict[str, str]


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


@click.group()
def command() -> None:
    """Features of images, sources and users: for training at a past time, and for serving now."""


@command.command()
@as_json_option
def apply(as_json: bool) -> None:
    """Declare the feature views; a changed definition gets the next version. May be repeated."""
    step.finish(_repository().apply(datetime.now(UTC)), as_json=as_json)


@command.command()
@click.option("--dataset", default="latest", show_default=True, help="Validated dataset version.")
@as_json_option
def ingest(dataset: str, as_json: bool) -> None:
    """Add the descriptors of a dataset version's pictures to `image_quality`. A version is added once."""
    from identity_masker.faces.snapshot import open_snapshot
    from identity_masker.features.image_quality import add_version

    repository = _repository()
    versions = repository.apply(datetime.now(UTC)).versions
    added = add_version(open_snapshot(dataset), repository.places, datetime.now(UTC))
    step.finish(
        Brought(
            view="image_quality",
            rows=added.rows if added else 0,
            statistics_uri=added.statistics_uri if added else None,
            version=versions["image_quality"],
        ),
        as_json=as_json,
    )


@command.command()
@as_json_option
def collect(as_json: bool) -> None:
    """Add the statistics of sources over the hours of the event log that are whole and not counted yet."""
    from identity_masker.features import offline, source_statistics
    from identity_masker.features.definitions import SOURCE_STATISTICS

    repository, now = _repository(), datetime.now(UTC)
    versions = repository.apply(now).versions
    rows = source_statistics.source_rows(repository.places, source_statistics.whole_hours(repository.places, now))
    added = offline.append(SOURCE_STATISTICS, rows, repository.places, now) if len(rows) else None
    step.finish(
        Brought(
            view=SOURCE_STATISTICS.name,
            rows=len(rows),
            statistics_uri=added.statistics_uri if added else None,
            version=versions[SOURCE_STATISTICS.name],
        ),
        as_json=as_json,
    )


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json_option
def load(file: Path, as_json: bool) -> None:
    """Add the users of FILE (CSV or Parquet: user, device, region, plan, masking_strength) to `user_profile`.

    User ids are hashed as in the event log and not kept. Without a column event_timestamp the values hold from now on.
    """
    from identity_masker.features import offline
    from identity_masker.features.definitions import USER_PROFILE
    from identity_masker.features.user_profiles import profile_rows
    from identity_masker.serving import units

    repository, now = _repository(), datetime.now(UTC)
    secret = settings().unit_key.get_secret_value()
    rows = profile_rows(file, lambda user: units.unit(secret, user), now)
    versions = repository.apply(now).versions
    added = offline.append(USER_PROFILE, rows, repository.places, now)
    step.finish(
        Brought(
            view=USER_PROFILE.name, rows=added.rows, statistics_uri=added.statistics_uri,
            version=versions[USER_PROFILE.name],
        ),
        as_json=as_json,
    )  # fmt: skip


@command.command()
@click.option("--since", help="Age (12h, 30d) or ISO time to start from, for an online store that was emptied.")
@as_json_option
def materialize(since: str | None, as_json: bool) -> None:
    """Bring the newest values to the online store (MASKER_ONLINE_STORE: a Redis; default SQLite in MASKER_HOME)."""
    repository, now = _repository(), datetime.now(UTC)
    repository.apply(now)
    done = repository.materialize(now, start_of(since) if since else None)
    step.finish(MaterializeResult(views=[each.model_dump(mode="json") for each in done]), as_json=as_json)


@command.command()
@click.argument("view")
@click.argument("key")
@as_json_option
def get(view: str, key: str, as_json: bool) -> None:
    """Look up what is online of KEY in VIEW, for instance `user_profile alice`; user ids are hashed."""
    from identity_masker.features.definitions import table
    from identity_masker.serving import units

    declared = table(view)
    hashed = units.unit(settings().unit_key.get_secret_value(), key) if declared.entity == "user" else key
    (found,) = _repository().online_view(view, [hashed])
    features = {name: found[name] for name in declared.features}
    step.finish(Online(view=view, entity=declared.entity, key=hashed, features=features), as_json=as_json)


@command.command()
@click.option("--entities", required=True, type=click.Path(path_type=Path), help="Parquet: keys and event_timestamp.")
@click.option("--service", default="masker_training", show_default=True)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
@as_json_option
def join(entities: Path, service: str, output: Path, as_json: bool) -> None:
    """Join features to the rows of a table as they were known at each row's time."""
    import io

    import pandas as pd
    import pyarrow as pa

    from identity_masker import artifacts
    from identity_masker.errors import BadInputError, NotFoundError
    from identity_masker.faces.person_table import DAMAGES

    if not entities.is_file():
        raise NotFoundError("there is no such table", got=entities)
    try:
        rows = pd.read_parquet(entities)
    except (pa.ArrowException, *DAMAGES) as error:
        raise BadInputError("the table is not Parquet", got=f"{entities}: {error}") from error
    repository = _repository()
    versions = repository.apply(datetime.now(UTC)).versions
    joined = repository.historical(rows, service)
    buffer = io.BytesIO()
    joined.to_parquet(buffer, index=False)
    artifacts.write_bytes(str(output), buffer.getvalue())
    step.finish(Joined(output=str(output), rows=len(joined), service=service, versions=versions), as_json=as_json)


@command.command()
@click.argument("view", required=False)
@as_json_option
def history(view: str | None, as_json: bool) -> None:
    """The versions that VIEW (or every view) had, and the statistics of what was added to it."""
    from identity_masker.features import feature_statistics, versions
    from identity_masker.features.definitions import TABLES, table

    places = feature_places()
    names = [table(view).name] if view else list(TABLES)
    result = Versions(
        versions=[each.model_dump(mode="json") for each in versions.history(places, view)],
        additions=[each.model_dump(mode="json") for name in names for each in feature_statistics.history(name, places)],
    )
    if as_json or not sys.stdout.isatty():
        step.finish(result, as_json=as_json)
    else:
        _print(result)


def _print(result: Versions) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    applied = Table("view", "version", "change", "applied", "added", "removed", box=None)
    for each in result.versions:
        changes = (", ".join(each["added"]), ", ".join(each["removed"]))
        applied.add_row(each["view"], each["version"], each["change"], each["applied_at"], *changes)
    console.print(applied)
    additions = Table("view", "created", "rows", "feature", "missing", "mean", "p05", "p95", box=None)
    for each in result.additions:
        for feature in each["features"]:
            numbers = ("" if feature[n] is None else f"{feature[n]:.4g}" for n in ("mean", "p05", "p95"))
            additions.add_row(
                each["view"], each["created"], str(each["rows"]), feature["feature"], str(feature["missing"]), *numbers
            )
    console.print(additions)


def feature_places() -> FeaturePlaces:
    """Where features lie by the settings."""
    from identity_masker.features.places import FeaturePlaces

    config = settings()
    online = config.online_store.get_secret_value() if config.online_store else ""
    return FeaturePlaces(config.home, config.store, online)


def _repository() -> FeatureRepository:
    from identity_masker.features.repository import FeatureRepository

    return FeatureRepository(feature_places())
