"""The pictures of a dataset and what a masker makes of them, as the columns that the gateway writes of a request."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity_masker.drift.event_tables import CODE, with_vectors
from identity_masker.faces.descriptors import describe_light
from identity_masker.faces.normalise import resized
from identity_masker.faces.snapshot import Snapshot
from identity_masker.masking.masker import Masker
from identity_masker.serving.appearance import SIDE, compared

BATCH = 64
SEED = 5
HELD_OUT = "test"
"""The split whose pictures the masker has not seen, like those of traffic."""

Images = NDArray[np.uint8]


class MaskedRows(NamedTuple):
    """Columns of the masked pictures, one row each, and the masked squares (N, 64, 64, 3) themselves."""

    table: pa.Table
    masked: Images


def seen_rows(snapshot: Snapshot) -> pa.Table:
    """The descriptors of the pictures that were trained on."""
    columns: dict[str, list[NDArray[np.float32]]] = {}
    images = snapshot.load("train", snapshot.size).images
    for at in range(0, len(images), 16 * BATCH):
        for name, numbers in describe_light(resized(images[at : at + 16 * BATCH], SIDE)).items():
            columns.setdefault(name, []).append(numbers)
    return pa.table({name: np.concatenate(parts).astype(np.float64) for name, parts in columns.items()})


def masked_rows(snapshot: Snapshot, masker: Masker, most: int) -> MaskedRows:
    """At most `most` pictures of the test split, masked each under a key of its own as requests without a key are."""
    images = snapshot.load(HELD_OUT, snapshot.size).images
    if len(images) > most:
        images = images[np.sort(np.random.default_rng(SEED).permutation(len(images))[:most])]
    rows, squares = [], []
    for at in range(0, len(images), BATCH):
        part = images[at : at + BATCH]
        masked = masker.mask(part, [f"reference/{at + row}" for row in range(len(part))])
        before, after = resized(part, SIDE), resized(masked, SIDE)
        rows += [compared(first, second)._asdict() for first, second in zip(before, after, strict=True)]
        squares.append(after)
    table = pa.Table.from_pylist(rows)
    return MaskedRows(with_vectors(table) if CODE in table.column_names else table, np.concatenate(squares))
