"""Blocks and what is known from before become the tables of one snapshot, in memory that does not grow with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.faces import forgotten as forgotten_people
from identity_masker.faces import parquet
from identity_masker.faces.block import ROW_COLUMNS
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.face_set import FACTORS
from identity_masker.faces.forgotten import Forgotten
from identity_masker.faces.normalise import PICTURES_VERSION
from identity_masker.faces.schema import (
    ATTRIBUTE_COLUMNS,
    ATTRIBUTES,
    DESCRIPTOR_COLUMNS,
    DESCRIPTOR_TABLE,
    EMBEDDING_COLUMNS,
    EMBEDDINGS,
    LABEL_COLUMNS,
    LABELS,
    MANIFEST,
    MANIFEST_COLUMNS,
    SCHEMA_VERSION,
)
from identity_masker.faces.shards import images_in, without
from identity_masker.faces.splits import SPLITS, deal

_TABLES = {
    DESCRIPTOR_TABLE: DESCRIPTOR_COLUMNS,
    EMBEDDINGS: EMBEDDING_COLUMNS,
    LABELS: LABEL_COLUMNS,
    ATTRIBUTES: ATTRIBUTE_COLUMNS,
}
_PLACES = pa.schema([("old_shard", pa.string()), ("old_row", pa.int32()), ("shard", pa.string()), ("row", pa.int32())])


class Written(BaseModel):
    """What was written. `snapshot` is the hash of the content: names, people, splits, pixels, labels, attributes."""

    model_config = ConfigDict(frozen=True)

    snapshot: str
    images: int
    people: int
    split_images: dict[str, int]
    split_people: dict[str, int]
    placed: dict[str, str]


def view_outcomes(
    connection: duckdb.DuckDBPyConnection, rows: list[Path], parent: Path | None, forgotten: Forgotten
) -> None:
    """Make the view `outcomes` (see `account`) and the table `accepted`: name, identity, content_hash, shard, row.

    Of inputs with the same pixels the first in the order of the source is accepted. `rows` are the tables of blocks,
    `parent` is the folder of the snapshot that the view `remembered` speaks of. Nobody of `forgotten` is accepted.
    """
    parquet.view(connection, "rows", rows, ROW_COLUMNS)
    for name, schema in {MANIFEST: MANIFEST_COLUMNS, **_TABLES}.items():
        files = [parent / name] if parent is not None and (parent / name).exists() else []
        parquet.view(connection, f"parent_{Path(name).stem}", files, schema)
    listed = connection.execute("SELECT DISTINCT identity FROM listing WHERE identity IS NOT NULL").fetchall()
    gone = forgotten.among(identity for (identity,) in listed)
    connection.register("forgotten", pa.table({"identity": pa.array(gone, pa.string())}))
    connection.execute(
        f"""
        CREATE TABLE usable AS
        SELECT position, name, identity, content_hash, shard, row
        FROM listing JOIN rows USING (name) ANTI JOIN forgotten USING (identity) WHERE reason IS NULL
        UNION ALL BY NAME
        SELECT remembered.position, name, remembered.identity, remembered.content_hash, shard, row
        FROM remembered LEFT JOIN parent_manifest USING (name)
        ANTI JOIN forgotten ON forgotten.identity = remembered.identity
        WHERE outcome <> 'quarantined';

        CREATE TABLE accepted AS
        SELECT * FROM usable QUALIFY row_number() OVER (PARTITION BY content_hash ORDER BY position) = 1;

        CREATE VIEW outcomes AS
        SELECT listing.position, listing.name, listing.identity, listing.etag,
               CASE WHEN usable.name IS NULL THEN 'quarantined'
                    WHEN usable.position = accepted.position THEN 'accepted' ELSE 'duplicate' END AS outcome,
               CASE WHEN usable.name IS NULL
                    THEN coalesce(rows.reason, remembered.reason, '{forgotten_people.REASON}') END AS reason,
               CASE WHEN usable.name IS NULL THEN coalesce(rows.detail, remembered.detail) END AS detail,
               usable.content_hash,
               CASE WHEN usable.position <> accepted.position THEN accepted.name END AS duplicate_of,
               CASE WHEN usable.position <> accepted.position THEN accepted.identity END AS duplicate_of_identity
        FROM listing
        LEFT JOIN usable ON listing.name = usable.name
        LEFT JOIN accepted ON usable.content_hash = accepted.content_hash
        LEFT JOIN rows ON listing.name = rows.name
        LEFT JOIN remembered ON listing.name = remembered.name
        """  # noqa: S608 - own names
    )
    (lost,) = parquet.one(connection, "SELECT count(*) FROM accepted WHERE shard IS NULL")
    if lost:
        raise MaskerError(
            "accepted inputs have no pixels", got=lost, fix="report this as a defect of identity_masker.faces"
        )


def drop_unused(connection: duckdb.DuckDBPyConnection, folder: Path, size: int) -> int:
    """Write shards of `folder` anew that hold pixels of no accepted input; how many images are left in all shards.

    Makes the view `placed`, which is `accepted` with the places that now hold.
    """
    used = dict(connection.execute("SELECT shard, count(*) FROM accepted GROUP BY shard").fetchall())
    moves: list[tuple[str, int, str, int]] = []
    for path in sorted((folder / "shards").iterdir()):
        shard = path.relative_to(folder).as_posix()
        if used.get(shard, 0) < images_in(path):
            rows = connection.execute("SELECT row FROM accepted WHERE shard = ? ORDER BY row", [shard]).fetchall()
            kept = [row for (row,) in rows]
            written = without(folder, shard, kept, size)
            moves += [(shard, old, written, new) for new, old in enumerate(kept) if written is not None]
    connection.register(
        "moves", pa.Table.from_pylist([dict(zip(_PLACES.names, move, strict=True)) for move in moves], _PLACES)
    )
    connection.execute(
        """
        CREATE VIEW placed AS
        SELECT accepted.* REPLACE (
            coalesce(moves.shard, accepted.shard) AS shard, coalesce(moves.row, accepted.row) AS row
        )
        FROM accepted LEFT JOIN moves ON accepted.shard = old_shard AND accepted.row = old_row
        """
    )
    return sum(images_in(path) for path in (folder / "shards").iterdir())


def write_tables(
    connection: duckdb.DuckDBPyConnection, folder: Path, config: DatasetConfig, placed_before: Mapping[str, str]
) -> Written:
    """Deal the people to splits and write all tables; those of labels and of attributes only where there are any."""
    people = [person for (person,) in connection.execute("SELECT DISTINCT identity FROM accepted").fetchall()]
    connection.execute(
        f"""
        CREATE VIEW known AS
        SELECT parent_manifest.* EXCLUDE (identity, split, content_hash, shard, row),
               parent_descriptors.* EXCLUDE (name), embedding, parent_labels.* EXCLUDE (name), attributes
        FROM parent_manifest JOIN remembered USING (name)
        JOIN parent_descriptors USING (name) JOIN parent_embeddings USING (name)
        LEFT JOIN parent_labels USING (name) LEFT JOIN parent_attributes USING (name);

        CREATE VIEW described AS
        SELECT {", ".join(_described())} FROM known
        UNION ALL BY NAME SELECT {", ".join(_described())} FROM rows WHERE image_hash IS NOT NULL;
        """  # noqa: S608 - own names
    )
    dealt = deal(people, config.splits, placed_before, _strata(connection, config.splits.stratify))
    connection.register("dealt", pa.table({"identity": list(dealt.splits), "split": list(dealt.splits.values())}))
    connection.execute(
        """
        CREATE VIEW faces AS
        SELECT placed.* EXCLUDE (position), split, described.* EXCLUDE (name)
        FROM placed JOIN described USING (name) JOIN dealt USING (identity)
        """
    )
    images = parquet.write(connection, "SELECT * FROM faces ORDER BY name", MANIFEST_COLUMNS, folder / MANIFEST)
    for name, schema in _TABLES.items():
        if name not in (LABELS, ATTRIBUTES) or _any_known(connection, schema):
            parquet.write(connection, "SELECT * FROM faces ORDER BY name", schema, folder / name)
    return Written(
        snapshot=content_hash(connection, config.size, PICTURES_VERSION),
        images=images,
        people=len(dealt.splits),
        placed=dealt.placed,
        **split_sizes(connection),
    )


def _strata(connection: duckdb.DuckDBPyConnection, labels: Sequence[str]) -> dict[str, str] | None:
    """The stratum of each person: of factors whether they are mostly above 0, of attributes the most common value."""
    if not labels:
        return None
    strata: dict[str, str] = {}
    for label in labels:
        values = _of_people(connection, label)
        if not any(values.values()):
            raise BadInputError(
                "no picture has the label that splits are stratified by",
                got=label,
                allowed=f"one of {', '.join(FACTORS)}, or an attribute of the source",
                fix="correct splits.stratify in the dataset's configuration",
            )
        strata = {person: f"{strata.get(person, '')}\0{value}" for person, value in values.items()}
    return strata


def _of_people(connection: duckdb.DuckDBPyConnection, label: str) -> dict[str, str]:
    """The most common value of a label among each person's pictures, empty where none has it."""
    if label in FACTORS:
        value = f"CASE WHEN factor_{label} >= 0 THEN 'above' WHEN factor_{label} < 0 THEN 'below' END"
    else:
        path = parquet.quoted(f'$."{label}"')
        value = f"json_extract_string(attributes, {path})"
    rows = connection.execute(
        f"""
        SELECT identity, coalesce(value, '')
        FROM (SELECT identity, {value} AS value FROM accepted JOIN described USING (name)) GROUP BY identity, value
        QUALIFY row_number() OVER (PARTITION BY identity ORDER BY value IS NULL, count(*) DESC, value) = 1
        """  # noqa: S608 - a label has no quotes
    ).fetchall()
    return dict(rows)


def view_faces(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Make the view `faces` of the tables of a snapshot in `folder`, as `write_tables` does of what it writes."""
    for name, schema in {MANIFEST: MANIFEST_COLUMNS, **_TABLES}.items():
        files = [folder / name] if (folder / name).exists() else []
        parquet.view(connection, f"own_{Path(name).stem}", files, schema)
    connection.execute(
        """
        CREATE VIEW faces AS
        SELECT own_manifest.*, own_descriptors.* EXCLUDE (name), own_labels.* EXCLUDE (name), attributes
        FROM own_manifest JOIN own_descriptors USING (name)
        LEFT JOIN own_labels USING (name) LEFT JOIN own_attributes USING (name)
        """
    )


def _described() -> list[str]:
    """What is known of a picture whoever it shows."""
    source = ("name", "image_hash", "format", "source_bytes", "width", "height")
    return [*source, *(column for schema in _TABLES.values() for column in schema.names[1:])]


def _any_known(connection: duckdb.DuckDBPyConnection, schema: pa.Schema) -> bool:
    known = " OR ".join(f"count_if({name} IS NOT NULL{_number(schema, name)}) > 0" for name in schema.names[1:])
    return bool(parquet.one(connection, f"SELECT {known} FROM faces")[0])  # noqa: S608 - own names


def _number(schema: pa.Schema, name: str) -> str:
    return f" AND NOT isnan({name})" if pa.types.is_floating(schema.field(name).type) else ""


def split_sizes(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    found = connection.execute("SELECT split, count(*), count(DISTINCT identity) FROM faces GROUP BY split").fetchall()
    sizes = {split: (images, people) for split, images, people in found}
    return {
        "split_images": {name: sizes.get(name, (0, 0))[0] for name in SPLITS},
        "split_people": {name: sizes.get(name, (0, 0))[1] for name in SPLITS},
    }


_HASHED = ("name", "identity", "split", "content_hash", "image_hash")


def content_hash(connection: duckdb.DuckDBPyConnection, size: int, pictures: int) -> str:
    """SHA-256 over what the snapshot holds, free of how its files are laid out or compressed.

    `pictures` is the `normalise.PICTURES_VERSION` by which it was made: it decides on the descriptors.
    """
    made = {"schema": SCHEMA_VERSION, "pictures": pictures, "size": size}
    digest = hashlib.sha256(json.dumps(made).encode())
    # Numbers that come from the source, not from calculation, which may differ between processors.
    points = [name for name in DESCRIPTOR_COLUMNS.names if name.endswith(("_x", "_y"))]
    labels = [*LABEL_COLUMNS.names[1:], *points]
    columns = pa.schema(
        [*((name, pa.string()) for name in (*_HASHED, "attributes")), *((name, pa.float32()) for name in labels)]
    )
    for table in parquet.batches(connection, "SELECT * FROM faces ORDER BY name", columns):
        numbers = np.stack([table[name].to_numpy() for name in labels], axis=1).astype("<f4")
        texts = zip(*(table[name].to_pylist() for name in (*_HASHED, "attributes")), strict=True)
        for text, row in zip(texts, np.nan_to_num(numbers, nan=-1e9), strict=True):
            digest.update("\0".join(part or "" for part in text).encode())
            digest.update(row.tobytes())
    return digest.hexdigest()
