"""Objects that no version needs any more, in the store and on this machine."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.faces import objects
from identity_masker.faces.data_repository import DataRepository, Places
from identity_masker.faces.versions import VersionRecord, VersionStore

SAFE_AGE = timedelta(hours=24)
"""Younger objects may belong to an ingestion on another machine that has not recorded its version yet."""


class Collected(BaseModel):
    """What was, or would be, removed: objects of the store, of the cache here, and copies of versions here."""

    model_config = ConfigDict(frozen=True)

    removed: bool
    store_objects: int
    store_bytes: int
    cache_objects: int
    cache_bytes: int
    copies: tuple[str, ...]


def collect(places: Places, now: datetime, *, remove: bool, min_age: timedelta = SAFE_AGE) -> Collected:
    """Remove what nothing needs, or with `remove` false only say what that is.

    In the store these are objects of no version that are older than `min_age`; here also the copies of versions
    that are not the newest usable one of their dataset, which are fetched again when they are asked for.
    """
    versions = VersionStore(places.store)
    records = objects.living(versions)
    with DataRepository(places).locked():
        needed = objects.referenced(records, places)
        store = [o for o in objects.stored(objects.remote_root(places)) if _is_old(o, needed, now, min_age)]
        here = [record for record in records if not _is_newest(record, versions) and _is_here(record, places)]
        kept_here = objects.referenced([r for r in records if r not in here and _is_here(r, places)], places)
        cache = [o for o in objects.stored(objects.cache_root(places)) if o.md5 not in kept_here]
        if remove:
            for record in here:
                objects.remove_here(record, places)
            for each in (*store, *cache):
                artifacts.remove(each.uri)
    return Collected(
        removed=remove,
        store_objects=len(store),
        store_bytes=sum(each.bytes for each in store),
        cache_objects=len(cache),
        cache_bytes=sum(each.bytes for each in cache),
        copies=tuple(record.version for record in here),
    )


def _is_old(found: objects.StoredObject, needed: set[str], now: datetime, min_age: timedelta) -> bool:
    return found.md5 not in needed and now - found.modified >= min_age


def _is_newest(record: VersionRecord, versions: VersionStore) -> bool:
    known = versions.semvers(record.name)
    usable = next((number for number in reversed(known) if versions.passed(record.name, number)), None)
    return record.semver in (usable, known[-1])


def _is_here(record: VersionRecord, places: Places) -> bool:
    return DataRepository(places).folder(record.name, record.snapshot).is_dir()
