"""The feature views: which features there are, of what, for how long, and which of them training and serving take.

This is the one place where a feature is declared; Feast's objects, the check of every table that comes in, the
versions and the pages of people follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from identity_masker.errors import NotFoundError

Type = Literal["number", "integer", "text"]

TIME, CREATED = "event_timestamp", "created"
"""Since when a row holds, and since when it is known. Both are UTC."""

WINDOWS: Mapping[str, timedelta] = {"1h": timedelta(hours=1), "24h": timedelta(hours=24)}
"""The windows that statistics of a source are taken over; each ends with a whole hour."""

_OVER_A_WINDOW: Mapping[str, Type] = {
    "pictures": "integer",
    "failed_share": "number",
    "brightness": "number",
    "contrast": "number",
    "sharpness": "number",
    "sharpness_p10": "number",
}


@dataclass(frozen=True)
class FeatureTable:
    """One feature view.

    entity   what it describes, and the name of its key column
    ttl      a value older than this counts as missing; None: it holds until the next one
    online   whether it is looked up while a request waits
    """

    name: str
    entity: str
    features: Mapping[str, Type]
    ttl: timedelta | None
    online: bool
    about: str


ENTITIES: Mapping[str, str] = {
    "image": "One stored picture: the SHA-256 of its pixels.",
    "source": "Where pictures come from: a camera, a stream, or a dataset.",
    "user": "Who asks: the keyed hash under which events hold a user.",
}

IMAGE_QUALITY = FeatureTable(
    name="image_quality",
    entity="image",
    features={
        "dataset": "text",
        "width": "integer",
        "height": "integer",
        "source_bytes": "integer",
        "brightness": "number",
        "contrast": "number",
        "saturation": "number",
        "sharpness": "number",
        "dark_share": "number",
        "bright_share": "number",
    },
    ttl=None,
    online=False,
    about="Descriptors of a picture of a dataset version.",
)
SOURCE_STATISTICS = FeatureTable(
    name="source_statistics",
    entity="source",
    features={f"{name}_{window}": kind for window in WINDOWS for name, kind in _OVER_A_WINDOW.items()},
    ttl=timedelta(hours=48),
    online=True,
    about="What a source sent in the windows that ended at a whole hour.",
)
USER_PROFILE = FeatureTable(
    name="user_profile",
    entity="user",
    features={"device": "text", "region": "text", "plan": "text", "masking_strength": "number"},
    ttl=None,
    online=True,
    about="A user's device, region, plan and the masking strength they chose, from 0 (untouched) to 1.",
)

TABLES: Mapping[str, FeatureTable] = {table.name: table for table in (IMAGE_QUALITY, SOURCE_STATISTICS, USER_PROFILE)}

TRAINING, SERVING = "masker_training", "masker_serving"
SERVICES: Mapping[str, tuple[FeatureTable, ...]] = {
    TRAINING: (IMAGE_QUALITY, SOURCE_STATISTICS, USER_PROFILE),
    SERVING: (USER_PROFILE, SOURCE_STATISTICS),
}


def table(name: str) -> FeatureTable:
    """The feature view called `name`. Raises `NotFoundError`."""
    if name in TABLES:
        return TABLES[name]
    raise NotFoundError("there is no such feature view", got=name, allowed=", ".join(TABLES))


def service(name: str) -> tuple[FeatureTable, ...]:
    """The feature views of the service called `name`. Raises `NotFoundError`."""
    if name in SERVICES:
        return SERVICES[name]
    raise NotFoundError("there is no such feature service", got=name, allowed=", ".join(SERVICES))
