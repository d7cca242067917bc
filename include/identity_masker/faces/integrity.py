"""Checks that every version must pass whatever its rules: pixels as in the manifest, tables as in the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from identity_masker.faces.findings import EXAMPLES, Finding
from identity_masker.faces.normalise import pixel_hash
from identity_masker.faces.schema import image_schema
from identity_masker.faces.shards import read_shard
from identity_masker.faces.snapshot import Snapshot
from identity_masker.faces.tables import give_back

if TYPE_CHECKING:
    import pandas as pd


def pixels(snapshot: Snapshot) -> Finding:
    """Whether each stored square has the hash that the manifest states."""
    wrong: list[str] = []
    size = snapshot.size
    for shard, rows in snapshot.manifest.groupby("shard"):
        stored = read_shard(snapshot.folder / str(shard), snapshot.record.files[str(shard)].sha256, size)
        for name, row, image_hash in zip(rows["name"], rows["row"], rows["image_hash"], strict=True):
            if row >= len(stored) or pixel_hash(stored[row]) != image_hash:
                wrong.append(name)
    return Finding(
        rule="pixels_intact",
        severity="stop",
        table="images",
        ok=not wrong,
        asks="stored pixels with the hash in the manifest",
        checked=len(snapshot.manifest),
        failed=len(wrong),
        examples=tuple(wrong[:EXAMPLES]),
        why="the pictures are not those that were ingested",
        fix="ingest the source again",
    )


def schema(images: pd.DataFrame) -> Finding:
    """Whether manifest and descriptors satisfy `schema.image_schema`."""
    from pandera.errors import SchemaErrors

    broken: list[str] = []
    failed = 0
    try:
        # Nothing is changed by it, so there is no need of a copy to change.
        image_schema().validate(images, lazy=True, inplace=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        failed = int(cases["index"].nunique(dropna=True)) or len(cases)
        # What concerns a whole table has no column; then the case names what is missing or too much.
        where = cases["column"].fillna(cases["failure_case"].astype(str))
        broken = sorted(set(where + ": " + cases["check"].astype(str)))
    give_back()
    return Finding(
        rule="schema",
        severity="stop",
        table="images",
        ok=not broken,
        asks="tables that satisfy the schema of manifest and descriptors",
        checked=len(images),
        failed=failed,
        examples=tuple(broken[:EXAMPLES]),
        why="what reads the tables relies on their types, ranges and keys",
        fix="ingest the source again; report it if that does not help",
    )
