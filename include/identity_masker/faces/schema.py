"""The tables of a snapshot: which columns they have, and the schema that every snapshot satisfies.

A breaking change of these tables raises `SCHEMA_VERSION`, and with it the major number of dataset versions.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from identity_masker.faces.descriptors import DESCRIPTORS, EMBEDDING, FACE
from identity_masker.faces.face_set import FACTORS, LANDMARKS
from identity_masker.faces.formats import READABLE
from identity_masker.faces.splits import SPLITS

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema

SCHEMA_VERSION = 2

MANIFEST, DESCRIPTOR_TABLE, LABELS = "manifest.parquet", "descriptors.parquet", "labels.parquet"
EMBEDDINGS, ATTRIBUTES = "embeddings.parquet", "attributes.parquet"
SHARDS = "shards"

PIXELS = "PIXELS"
"""`format` of pictures that never were files."""

POINTS = tuple(f"landmark_{at}_{axis}" for at in range(LANDMARKS) for axis in "xy")

MANIFEST_COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("identity", pa.string()),
        ("split", pa.string()),
        ("content_hash", pa.string()),
        ("image_hash", pa.string()),
        ("format", pa.string()),
        ("source_bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("shard", pa.string()),
        ("row", pa.int32()),
    ]
)
"""One row an image. `content_hash` is of the source's upright RGB pixels, `image_hash` of the stored square."""

DESCRIPTOR_COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        *((name, pa.float32()) for name in DESCRIPTORS),
        ("jpeg_quality", pa.float32()),
        ("perceptual_hash", pa.int64()),
    ]
)
"""One row an image; what nobody knows of an image is NaN, as is `jpeg_quality` of other formats."""

EMBEDDING_COLUMNS = pa.schema([("name", pa.string()), ("embedding", pa.list_(pa.float32(), EMBEDDING))])
LABEL_COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        *((f"factor_{name}", pa.float32()) for name in FACTORS),
        *((p, pa.float32()) for p in POINTS),
    ]
)

ATTRIBUTE_COLUMNS = pa.schema([("name", pa.string()), ("attributes", pa.string())])
"""One row an image: what its source knows of it beside the person, as a JSON object; null when it knows nothing."""

TEXT = "string[pyarrow]"
"""Texts of millions of rows as pandas holds them: in a third of the memory of Python's."""

_SHA256 = r"^[0-9a-f]{64}$"


@cache
def image_schema() -> DataFrameSchema:
    """The schema of manifest and descriptors side by side, as pandera checks it."""
    from pandera.pandas import Check, Column, DataFrameSchema

    def share(high: float = 1.0) -> Column:
        # Sums of 32-bit floats end up a little over their bound.
        return Column("float32", Check.in_range(0, high + 1e-5))

    once = Check(_once, name="unique")
    columns = {
        "name": Column(TEXT, [Check.str_length(min_value=1), once]),
        "identity": Column(TEXT, Check.str_length(min_value=1)),
        "split": Column(TEXT, Check.isin(SPLITS)),
        "content_hash": Column(TEXT, [Check.str_matches(_SHA256), once]),
        "image_hash": Column(TEXT, Check.str_matches(_SHA256)),
        "format": Column(TEXT, Check.isin([PIXELS, *READABLE])),
        "source_bytes": Column("int64", Check.gt(0)),
        "width": Column("int32", Check.gt(0)),
        "height": Column("int32", Check.gt(0)),
        "shard": Column(TEXT, Check.str_startswith(f"{SHARDS}/")),
        "row": Column("int32", Check.ge(0)),
        "brightness": share(),
        "contrast": share(0.5),
        "saturation": share(),
        "sharpness": share(4.0),
        "dark_share": share(),
        "bright_share": share(),
        "noise": share(3.5),
        "jpeg_quality": Column("float32", Check.in_range(1, 100), nullable=True),
        "perceptual_hash": Column("int64"),
        # Points may lie beyond the square's edge.
        **{name: Column("float32", nullable=True) for name in FACE},
    }
    one_split = Check(_one_split_a_person, name="one_split_a_person")
    return DataFrameSchema(columns, checks=[one_split], strict=True, unique=["shard", "row"])


def _once(texts: pd.Series) -> pd.Series:
    """Which texts occur once. Pandera's own check makes a Python text of each: four times the memory and the time."""
    import pandas as pd

    # pandas gives the pieces in which Arrow read the column, or one array where there is but one.
    column = texts.array.__arrow_array__()
    pieces = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    codes = np.concatenate([piece.indices.to_numpy() for piece in pieces.dictionary_encode().chunks])
    return pd.Series(np.bincount(codes)[codes] == 1, index=texts.index)


def _one_split_a_person(images: pd.DataFrame) -> pd.Series:
    places = images[["identity", "split"]].drop_duplicates()
    return ~images["identity"].isin(places["identity"][places["identity"].duplicated()])
