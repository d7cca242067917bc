"""Versions of feature views: each change of a definition raises the number of its view, and is kept.

A feature that goes, changes its type or describes another entity is a major change, a new one a minor change, and
anything else (how long a value holds, whether it is online, what is said of it) a patch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import ConflictError
from identity_masker.features.definitions import TABLES, FeatureTable
from identity_masker.features.places import FeaturePlaces

Change = Literal["first", "major", "minor", "patch"]


class ViewVersion(BaseModel):
    """One definition that a view had. `features` maps names to types."""

    model_config = ConfigDict(frozen=True)

    view: str
    version: str
    change: Change
    applied_at: datetime
    entity: str
    features: dict[str, str]
    ttl_seconds: float | None
    online: bool
    about: str
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def definition(self) -> dict[str, Any]:
        return self.model_dump(include={"entity", "features", "ttl_seconds", "online", "about"})


def history(places: FeaturePlaces, view: str | None = None) -> list[ViewVersion]:
    """All versions, oldest first, of one view or of all."""
    found = [
        artifacts.read_model(ViewVersion, places.uri("versions", name, f"{number}.json"))
        for name in ([view] if view else artifacts.names(places.uri("versions")))
        for number in _numbers(name, places)
    ]
    return sorted(found, key=lambda each: each.applied_at)


def current(places: FeaturePlaces) -> dict[str, ViewVersion]:
    """The newest version of each view."""
    return {each.view: each for each in history(places)}


def record(places: FeaturePlaces, now: datetime, tables: Mapping[str, FeatureTable] = TABLES) -> list[ViewVersion]:
    """Give every definition that is new or has changed its next number; the versions that this added."""
    known = current(places)
    added = [
        _next(table, known.get(table.name), now)
        for table in tables.values()
        if table.name not in known or known[table.name].definition != _definition(table)
    ]
    for version in added:
        number = len(_numbers(version.view, places)) + 1
        document = json.dumps(version.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
        if not artifacts.create_bytes(places.uri("versions", version.view, f"{number}.json"), document.encode()):
            raise ConflictError(
                "somebody else changed the feature views at the same time", got=version.view, fix="apply them again"
            )
    return added


def _numbers(view: str, places: FeaturePlaces) -> list[int]:
    names = artifacts.names(places.uri("versions", view))
    return sorted(int(number) for name in names if (number := name.removesuffix(".json")).isdecimal())


def _next(table: FeatureTable, known: ViewVersion | None, now: datetime) -> ViewVersion:
    before = known.features if known else {}
    mine = _definition(table)
    change = _change(mine, known)
    return ViewVersion(
        view=table.name,
        version=_raised(known.version if known else None, change),
        change=change,
        applied_at=now,
        added=tuple(sorted(mine["features"].keys() - before.keys())),
        removed=tuple(sorted(before.keys() - mine["features"].keys())),
        **mine,
    )


def _change(mine: Mapping[str, Any], known: ViewVersion | None) -> Change:
    if known is None:
        return "first"
    kept = all(mine["features"].get(name) == kind for name, kind in known.features.items())
    if not kept or mine["entity"] != known.entity:
        return "major"
    return "minor" if len(mine["features"]) > len(known.features) else "patch"


def _raised(version: str | None, change: Change) -> str:
    if version is None:
        return "1.0.0"
    major, minor, patch = map(int, version.split("."))
    return {"major": f"{major + 1}.0.0", "minor": f"{major}.{minor + 1}.0"}.get(change, f"{major}.{minor}.{patch + 1}")


def _definition(table: FeatureTable) -> dict[str, Any]:
    return {
        "entity": table.entity,
        "features": dict(table.features),
        "ttl_seconds": table.ttl.total_seconds() if table.ttl else None,
        "online": table.online,
        "about": table.about,
    }
