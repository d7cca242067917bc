"""`masker data diff`, `checkout`, `verify`, `gc` and `forget`: what is done with dataset versions that exist."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from identity_masker.cli import step
from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.faces.data_repository import Places
    from identity_masker.faces.snapshot import Snapshot
    from identity_masker.faces.validation import Aids
    from identity_masker.faces.versions import VersionRecord

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


def aids(snapshot: Snapshot, consent: str | None, examiner: str | None) -> Aids:
    """What `masker data validate` compares a version with."""
    from identity_masker.faces.snapshot import open_from
    from identity_masker.faces.validation import Aids
    from identity_masker.faces.versions import VersionStore

    before = VersionStore(settings().store).valid_before(snapshot.record)
    same = before is not None and before.schema_version == snapshot.record.schema_version
    recognise: Callable[[NDArray[np.uint8]], NDArray[np.floating]] | None = None
    if examiner:
        from identity_masker.faces.normalise import resized
        from identity_masker.masking.examination import Examiner
        from identity_masker.registry import examiners

        judge = Examiner(examiners.fetch() if examiner == "registry" else Path(examiner))

        def see(images: NDArray[np.uint8]) -> NDArray[np.floating]:
            return judge.see(resized(images, judge.size)).embedding

        recognise = see
    return Aids(open_from(before.version, _places()) if before and same else None, consent, recognise)


@click.command()
@click.argument("before")
@click.argument("after")
@as_json_option
def diff(before: str, after: str, as_json: bool) -> None:
    """Say what came, went and changed from version BEFORE to version AFTER."""
    from identity_masker.faces.snapshot import open_from
    from identity_masker.faces.version_diff import diff as compare

    old, new = (open_from(_newest(each), _places(), validated=False) for each in (before, after))
    step.finish(compare(old, new), as_json=as_json)


@click.command()
@click.argument("version")
@click.option("--output", type=click.Path(path_type=Path), help="New folder.  [default: ./VERSION]")
@as_json_option
def checkout(version: str, output: Path | None, as_json: bool) -> None:
    """Write the files of VERSION into a folder, each compared with its checksum."""
    from identity_masker.faces.restoring import checkout as restore

    record = _record(version)
    step.finish(restore(record, _places(), (output or Path(record.version)).absolute()), as_json=as_json)


@click.command()
@click.argument("version")
@as_json_option
def verify(version: str, as_json: bool) -> None:
    """Read every file of VERSION in the store, and its copy here, and compare them with their checksums.

    Exits with 1 when the version is not whole.
    """
    from identity_masker.faces.restoring import verify as prove

    result = prove(_record(version), _places())
    step.finish(result, as_json=as_json)
    if not result.ok:
        click.echo(
            f"masker: {result.version} is not whole; to fix: restore the store from its backup, "
            "or delete the folder data in MASKER_HOME when only the copy here is damaged",
            err=True,
        )
        sys.exit(1)


@click.command()
@click.option("--yes", is_flag=True, help="Remove it; without this only say what would be removed.")
@as_json_option
def gc(yes: bool, as_json: bool) -> None:
    """Remove what no version needs from the store and from this machine, and copies of old versions here."""
    from identity_masker.faces.garbage import collect

    step.finish(collect(_places(), datetime.now(UTC), remove=yes), as_json=as_json)


@click.command()
@click.argument("identity")
@click.option("--name", help="Only in this dataset.  [default: in all]")
@click.option("--yes", is_flag=True, help="Do it; without this only say what would be done.")
@as_json_option
def forget(identity: str, name: str | None, yes: bool, as_json: bool) -> None:
    """Remove the person IDENTITY from the datasets, for good.

    Lists every version and every registered model that was made with their pictures. With --yes a new version without
    them is made of each dataset that still has them, the pictures are purged from the store and from this machine, and
    later ingestions refuse them. The source itself is not touched: remove the pictures there too.
    """
    from identity_masker.cli.forgetting import forget_person

    step.finish(forget_person(identity, name, _places(), yes=yes), as_json=as_json)


def _places() -> Places:
    from identity_masker.faces.data_repository import Places

    return Places(settings().home, settings().store)


def _newest(reference: str) -> str:
    from identity_masker.faces.versions import VersionStore

    return VersionStore(settings().store).newest(reference)


def _record(reference: str) -> VersionRecord:
    from identity_masker.faces.snapshot import refuse_purged
    from identity_masker.faces.versions import VersionStore

    versions = VersionStore(settings().store)
    record = versions.record(versions.newest(reference))
    refuse_purged(record, versions)
    return record
