"""Bringing a version back to the bit, and proving that it is what was stored."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError, MaskerError
from identity_masker.faces import objects
from identity_masker.faces.data_repository import DataRepository, Places, stored_files
from identity_masker.faces.versions import VersionRecord


class CheckedOut(BaseModel):
    """Where a version's files are; each has the checksum of the version's record."""

    model_config = ConfigDict(frozen=True)

    version: str
    folder: str
    files: int
    bytes: int


class Verified(BaseModel):
    """Whether a version is whole: in the store, and on this machine where it is there at all.

    `missing` and `damaged` name files of the snapshot; `local` is `whole`, `absent` or `damaged`.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    ok: bool
    files: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    local: str


def checkout(record: VersionRecord, places: Places, folder: Path) -> CheckedOut:
    """Write the files of a version into the new or empty `folder`, checked against their checksums.

    Raises `BadInputError` for a folder that holds something, `MaskerError` when the store does not hold the version
    as it was recorded; then nothing is left in `folder`.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError("the folder is not empty", got=folder, fix="name a new folder with --output")
    source = DataRepository(places).fetch(record)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        shutil.copytree(source, partial)
        found = stored_files(partial)
        if found != record.files:
            wrong = sorted(name for name in record.files if found.get(name) != record.files[name])
            raise MaskerError(
                "the files here are not those of the version",
                got=f"{', '.join(wrong[:5])} of {source}",
                fix=f"delete {source} and run again: it is fetched anew from the store",
            )
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise artifacts.disk_error(error, folder) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    size = sum(file.bytes for file in record.files.values())
    return CheckedOut(version=record.version, folder=str(folder), files=len(record.files), bytes=size)


def verify(record: VersionRecord, places: Places) -> Verified:
    """Read every object of a version in the store and compare it with its name; and the copy here with the record."""
    root = objects.remote_root(places)
    try:
        md5s = objects.listing(record, places)
    except BadInputError:  # without its list no file of the version can be brought back
        md5s = {}
    missing = [
        path for path in record.files if path not in md5s or not artifacts.exists(objects.uri_of(root, md5s[path]))
    ]
    damaged = [path for path in record.files if path not in missing and not objects.is_whole(root, md5s[path])]
    local = _local(record, places)
    return Verified(
        version=record.version,
        ok=not missing and not damaged and local != "damaged",
        files=len(record.files),
        missing=tuple(sorted(missing)),
        damaged=tuple(sorted(damaged)),
        local=local,
    )


def _local(record: VersionRecord, places: Places) -> str:
    folder = DataRepository(places).folder(record.name, record.snapshot)
    if not folder.is_dir():
        return "absent"
    return "whole" if stored_files(folder) == record.files else "damaged"
