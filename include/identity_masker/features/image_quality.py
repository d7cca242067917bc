"""From a dataset version to rows of the view `image_quality`."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from identity_masker import artifacts
from identity_masker.faces.snapshot import Snapshot
from identity_masker.features import offline
from identity_masker.features.definitions import IMAGE_QUALITY, TIME
from identity_masker.features.offline import Appended
from identity_masker.features.places import FeaturePlaces


def add_version(snapshot: Snapshot, places: FeaturePlaces, now: datetime) -> Appended | None:
    """Add the pictures of a dataset version to the view; None when they were added before."""
    note = places.uri("ingested", f"{snapshot.version}.json")
    if artifacts.exists(note):
        return None
    added = offline.append(IMAGE_QUALITY, image_rows(snapshot), places, now)
    artifacts.write_json(note, added.model_dump(mode="json"))
    return added


def drop_version(version: str, places: FeaturePlaces) -> None:
    """Remove the rows and statistics of a dataset version that was purged."""
    note = places.uri("ingested", f"{version}.json")
    if artifacts.exists(note):
        added = artifacts.read_model(Appended, note)
        for uri in (added.uri, added.statistics_uri, note):
            artifacts.remove(uri)


def image_rows(snapshot: Snapshot) -> pd.DataFrame:
    """One row a picture, which holds since the version was made; `dataset` is its name."""
    wanted = [name for name in IMAGE_QUALITY.features if name != "dataset"]
    tables = snapshot.manifest.merge(snapshot.descriptors, on="name", validate="one_to_one")
    rows = tables.rename(columns={"image_hash": IMAGE_QUALITY.entity})[[IMAGE_QUALITY.entity, *wanted]]
    made = pd.Timestamp(snapshot.record.created_at)
    # Two files of the same square are one picture.
    return rows.drop_duplicates(IMAGE_QUALITY.entity).assign(dataset=snapshot.record.name, **{TIME: made})
