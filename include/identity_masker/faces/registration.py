"""Giving a snapshot its version number and changelog."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow.parquet as pq

from identity_masker.errors import ConflictError
from identity_masker.faces.data_repository import DataRepository
from identity_masker.faces.schema import MANIFEST
from identity_masker.faces.versions import (
    Change,
    Changelog,
    SnapshotFacts,
    VersionRecord,
    VersionStore,
    next_semver,
)

_ATTEMPTS = 20


def register(facts: SnapshotFacts, repository: DataRepository, versions: VersionStore) -> tuple[VersionRecord, bool]:
    """Record `facts` under the next free version; with False the version that somebody else recorded meanwhile.

    Of several writers exactly one gets a number; the others look again. Raises `ConflictError` when others keep
    taking the numbers.
    """
    for _ in range(_ATTEMPTS):
        history = versions.records(facts.name)
        for known in history:
            if known.snapshot == facts.snapshot:
                return known, False
        living = versions.living(facts.name)
        change = changes(facts, living[-1] if living else None, repository)
        if history and not living:  # whatever was there before has been purged
            change = change.model_copy(update={"change": "major"})
        record = VersionRecord(
            **dict(facts),
            semver=next_semver(history[-1].semver if history else None, change.change),
            created_at=datetime.now(UTC),
            changelog=change,
        )
        if versions.create(record):
            return record, True
    raise ConflictError(
        "no free version number was found", got=f"{_ATTEMPTS} attempts for {facts.name}", fix="run the ingestion again"
    )


def changes(facts: SnapshotFacts, parent: VersionRecord | None, repository: DataRepository) -> Changelog:
    """What `facts` adds to and removes from `parent`.

    Another schema, picture size or way of making the pictures is a major change, new pictures are a minor one, and
    anything else (pictures gone, people dealt anew, corrected labels) is a patch.
    """
    # Hashes that were made in different ways tell nothing; names still do.
    column = "content_hash" if parent is None or parent.pictures_version == facts.pictures_version else "name"
    mine = _pictures(repository, facts, column)
    theirs = set() if parent is None else _pictures(repository, parent, column)
    added, removed = mine - theirs, theirs - mine
    my_people, their_people = {person for person, _ in mine}, {person for person, _ in theirs}
    return Changelog(
        parent=None if parent is None else parent.semver,
        change=_kind(facts, parent, bool(added)),
        images_added=len(added),
        images_removed=len(removed),
        people_added=len(my_people - their_people),
        people_removed=len(their_people - my_people),
    )


def _kind(facts: SnapshotFacts, parent: VersionRecord | None, has_new: bool) -> Change:
    if parent is None:
        return "first"
    if _form(facts) != _form(parent):
        return "major"
    return "minor" if has_new else "patch"


def _form(facts: SnapshotFacts) -> tuple[int, int, int]:
    return facts.schema_version, facts.pictures_version, facts.size


def _pictures(repository: DataRepository, facts: SnapshotFacts, column: str) -> set[tuple[str, str]]:
    """Person and `column` of every picture of a snapshot; only its manifest is fetched."""
    folder = repository.fetch(facts, only=MANIFEST)
    table = pq.read_table(folder / MANIFEST, columns=["identity", column])
    return set(zip(table["identity"].to_pylist(), table[column].to_pylist(), strict=True))
