"""The tables that rules speak of, made from a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from identity_masker.faces.rules import Table
from identity_masker.faces.versions import Counts

if TYPE_CHECKING:
    import pandas as pd

KEYS: Mapping[Table, str | None] = {"images": "name", "people": "identity", "ingestion": None}
"""The column that names a row of each table."""


def image_table(manifest: pd.DataFrame, descriptors: pd.DataFrame) -> pd.DataFrame:
    """A row an image: manifest and descriptors, joined by name."""
    return manifest.merge(descriptors, on="name", how="outer", validate="one_to_one")


def people_table(manifest: pd.DataFrame) -> pd.DataFrame:
    """A row a person: `identity`, `split`, `images`, and `share_of_largest`, of the person with most images."""
    people = manifest.groupby("identity", as_index=False).agg(split=("split", "first"), images=("name", "size"))
    return people.assign(share_of_largest=people["images"] / people["images"].max())


def ingestion_table(counts: Counts) -> pd.DataFrame:
    """One row: the counts of the ingestion, shares of its inputs, and people and images of each split."""
    import pandas as pd

    row: dict[str, float] = {
        "inputs": counts.inputs,
        "accepted": counts.accepted,
        "quarantined": counts.quarantined,
        "duplicates": counts.duplicates,
        "duplicates_across_people": counts.duplicates_across_people,
        "people": counts.people,
        "quarantined_share": counts.quarantined / max(1, counts.inputs),
        "duplicate_share": counts.duplicates / max(1, counts.inputs),
    }
    row |= {f"{split}_people": people for split, people in counts.split_people.items()}
    row |= {f"{split}_images": images for split, images in counts.split_images.items()}
    return pd.DataFrame([row])
