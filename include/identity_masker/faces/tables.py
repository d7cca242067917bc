"""The tables that rules speak of, made from a snapshot."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity_masker.faces.consent import states
from identity_masker.faces.likeness import near_duplicates
from identity_masker.faces.rules import Table
from identity_masker.faces.versions import VersionRecord

if TYPE_CHECKING:
    import pandas as pd

KEYS: Mapping[Table, str | None] = {"images": "name", "people": "identity", "ingestion": None, "drift": "column"}
"""The column that names a row of each table."""


def image_table(manifest: pa.Table, descriptors: pa.Table) -> pd.DataFrame:
    """A row an image: manifest and descriptors side by side, by name. Texts are `schema.TEXT`.

    The memory of the two tables is given up column by column, so they cannot be used afterwards.
    """
    import pandas as pd

    if manifest["name"].equals(descriptors["name"]):  # as they are written, in the order of names
        both = manifest
        for name in descriptors.column_names[1:]:
            both = both.append_column(descriptors.schema.field(name), descriptors[name])
    else:
        both = manifest.join(descriptors, "name", join_type="full outer")
    del manifest, descriptors
    texts = {pa.string(): pd.StringDtype("pyarrow")}
    found: pd.DataFrame = both.to_pandas(types_mapper=texts.get, split_blocks=True, self_destruct=True)
    give_back()
    return found


def give_back() -> None:
    """Give memory that is not used any more back to the system: Arrow and the C library keep it for later.

    Pandera leaves the table that it looked at in a cycle of references, which is broken first.
    """
    gc.collect()
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()


def likeness_table(images: pd.DataFrame, embeddings: NDArray[np.float32], margins: NDArray[np.float32]) -> pd.DataFrame:
    """`images` with what each has to do with the others.

    near_duplicates            other pictures that differ from it by little more than compression
    near_duplicates_elsewhere  those of them in another split
    near_duplicates_of_others  those of them that are said to show another person
    near_duplicate_of          the name of one of them, None for none
    identity_margin            `margins` (N,), below 0 for a picture that looks more like another person
    """
    pairs = near_duplicates(images["perceptual_hash"].to_numpy(), embeddings)
    one, other = np.concatenate([pairs.first, pairs.second]), np.concatenate([pairs.second, pairs.first])
    partner = np.full(len(images), None, dtype=object)
    partner[one] = images["name"].to_numpy()[other]
    split, person = images["split"].to_numpy(), images["identity"].to_numpy()

    def count(chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(chosen, minlength=len(images))

    return images.assign(
        near_duplicates=count(one),
        near_duplicates_elsewhere=count(one[split[one] != split[other]]),
        near_duplicates_of_others=count(one[person[one] != person[other]]),
        near_duplicate_of=partner,
        identity_margin=margins,
    )


def people_table(manifest: pd.DataFrame, consent: str | None, today: date) -> pd.DataFrame:
    """A row a person: `identity`, `split`, `images`, `share_of_largest` (of the person with most images), `consent`.

    `consent` is the table of who agreed; see `consent.states`, also for what it raises.
    """
    people = manifest.groupby("identity", as_index=False).agg(split=("split", "first"), images=("name", "size"))
    share = people["images"] / people["images"].max()
    return people.assign(share_of_largest=share, consent=states(people["identity"], consent, today))


def ingestion_table(record: VersionRecord, now: datetime) -> pd.DataFrame:
    """One row: the counts of the ingestion, shares of its inputs, and people and images of each split.

    `age_days` is the time since the version was made: an unchanged source gives no new version.
    """
    import pandas as pd

    counts = record.counts

    row: dict[str, float] = {
        "inputs": counts.inputs,
        "accepted": counts.accepted,
        "quarantined": counts.quarantined,
        "duplicates": counts.duplicates,
        "duplicates_across_people": counts.duplicates_across_people,
        "people": counts.people,
        "quarantined_share": counts.quarantined / max(1, counts.inputs),
        "duplicate_share": counts.duplicates / max(1, counts.inputs),
        "age_days": (now - record.created_at) / timedelta(days=1),
    }
    row |= {f"{split}_people": people for split, people in counts.split_people.items()}
    row |= {f"{split}_images": images for split, images in counts.split_images.items()}
    return pd.DataFrame([row])
