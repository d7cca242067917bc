"""The objects behind dataset versions: what DVC stored of a snapshot, in the store and in this machine's cache.

DVC names an object by the MD5 of its content, `files/md5/ab/cdef…`; a snapshot is one object that lists the others
(`….dir`), so versions that share a shard share its object.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.data_repository import Places
from identity_masker.faces.versions import SnapshotFacts, VersionRecord, VersionStore

_RESTORE = "restore the store from its backup"


class StoredObject(NamedTuple):
    """One object. `modified` is when it came to where it is."""

    md5: str
    uri: str
    bytes: int
    modified: datetime


def remote_root(places: Places) -> str:
    return artifacts.join(places.store, "dvc", "files", "md5")


def cache_root(places: Places) -> str:
    return str(places.home / "data" / ".dvc" / "cache" / "files" / "md5")


def uri_of(root: str, md5: str) -> str:
    return artifacts.join(root, md5[:2], md5[2:])


def listing(facts: SnapshotFacts, places: Places) -> dict[str, str]:
    """MD5 of every file of a snapshot by its path in it.

    Raises `NotFoundError` when the store has lost the list, and `BadInputError` when it is damaged.
    """
    uri = uri_of(remote_root(places), facts.dvc.md5)
    try:
        content = artifacts.read_bytes(uri)
    except NotFoundError as error:
        raise NotFoundError("the list of a version's files is lost", got=uri, fix=_RESTORE) from error
    if not _fits(content, facts.dvc.md5):
        raise BadInputError("the list of a version's files is damaged", got=uri, fix=_RESTORE)
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def referenced(records: Iterable[VersionRecord], places: Places) -> set[str]:
    """MD5 of all objects that these versions need.

    Raises as `listing` does: what a lost list named cannot be told from what nothing needs.
    """
    needed: set[str] = set()
    for record in records:
        needed.update((record.dvc.md5, *listing(record, places).values()))
    return needed


def living(versions: VersionStore) -> list[VersionRecord]:
    """The records of all versions of all datasets whose data were not purged."""
    return [record for name in versions.datasets() for record in versions.living(name)]


def stored(root: str) -> Iterator[StoredObject]:
    """All objects under `root`, which is `remote_root` or `cache_root`."""
    system, path = artifacts.split(root)
    system.invalidate_cache()
    if not system.exists(path):
        return
    for name, info in sorted(system.find(path, detail=True).items()):
        parts = name.rsplit("/", 2)
        modified = info.get("LastModified") or datetime.fromtimestamp(info["mtime"], UTC)
        yield StoredObject(parts[-2] + parts[-1], system.unstrip_protocol(name), int(info["size"]), modified)


def is_whole(root: str, md5: str) -> bool:
    """Whether the object is there with the content that its name says."""
    try:
        content = artifacts.read_bytes(uri_of(root, md5))
    except NotFoundError:
        return False
    return _fits(content, md5)


def _fits(content: bytes, md5: str) -> bool:
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == md5.removesuffix(".dir")


def remove_here(record: VersionRecord, places: Places) -> None:
    """Take the snapshot's folder and its pointer away from this machine."""
    folder = places.home / "data" / record.name / record.snapshot
    artifacts.remove(str(folder))
    Path(f"{folder}.dvc").unlink(missing_ok=True)
