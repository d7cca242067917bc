"""The steps that need a version by name: collect its window, and watch its stream."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.reference_store import at_hand
from identity_masker.drift.watch import Watched, watch
from identity_masker.drift.window import collect_window
from identity_masker.errors import NotFoundError
from identity_masker.registry import models
from identity_masker.settings import settings


class CollectResult(BaseModel):
    """Where the window lies, what it holds, and which groups of columns can be tested."""

    window: str
    version: str
    semver: str
    start: str
    end: str
    hours: int
    missing_hours: list[str]
    requests: int
    pictures: int
    tables: list[str]
    embeddings: bool


def collect_step(name: str, start: datetime, end: datetime, policy: DriftPolicy) -> CollectResult:
    """Collect the traffic of the version `name` in [start, end), and bring its reference into the store.

    `tables`: the groups to test beside the embeddings. An alias that points nowhere yet gives a window without
    traffic. Raises `NotFoundError` for an unknown version and for traffic of a version without a reference.
    """
    config = settings()
    version = _version(name)
    folder, found = collect_window(
        config.store,
        version.version if version else "",
        version.semver if version else "",
        start,
        end,
        policy,
        config.threads or 1,
    )
    if version and found.pictures:
        at_hand(version.version, version.run_id)
    return CollectResult(
        window=folder,
        version=found.version,
        semver=found.semver,
        start=found.start.isoformat(),
        end=found.end.isoformat(),
        hours=found.hours,
        missing_hours=[hour.isoformat() for hour in found.missing_hours],
        requests=found.requests,
        pictures=found.pictures,
        tables=[group for group in found.groups if group != "embeddings"],
        embeddings="embeddings" in found.groups,
    )


def watch_step(name: str, since: datetime, policy: DriftPolicy) -> Watched:
    """Watch the newest requests of the version `name`; an alias that points nowhere yet has none.

    Raises `NotFoundError` for a version without a reference.
    """
    config, version = settings(), _version(name)
    if version is None:
        return Watched(version="", since=since.isoformat(), note="no version is deployed")
    at_hand(version.version, version.run_id)
    return watch(version.version, version.semver, config.events, config.store, since, policy)


def _version(name: str) -> models.ModelVersion | None:
    try:
        return models.resolve(name)
    except NotFoundError:
        if name in models.ALIASES:
            return None
        raise
