from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_masker.artifacts import sha256_file
from identity_masker.errors import BadInputError
from identity_masker.faces.shards import ShardWriter, read_shard


@settings(deadline=None)
@given(buckets=st.lists(st.sampled_from(["train", "test"]), min_size=1, max_size=20), full=st.integers(1, 6))
def test_images_are_read_from_where_they_were_put(
    buckets: list[str], full: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    images = np.random.default_rng(len(buckets)).integers(0, 256, (len(buckets), 5, 5, 3), dtype=np.uint8)
    writer = ShardWriter(folder, 5, full)
    for bucket, image in zip(buckets, images, strict=True):
        writer.add(bucket, image)
    places = writer.close()
    assert len(set(places)) == len(places)
    for bucket, image, place in zip(buckets, images, places, strict=True):
        path = folder / place.shard
        assert path.name.startswith(bucket)
        stored = read_shard(path, sha256_file(path), 5)
        assert len(stored) <= full
        np.testing.assert_array_equal(stored[place.row], image)


def test_a_shard_is_ordinary_parquet_with_raw_rgb(tmp_path: Path) -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    writer = ShardWriter(tmp_path, 4, 8)
    writer.add("train", image)
    (place,) = writer.close()
    table = pq.read_table(tmp_path / place.shard)
    assert table["image"].to_pylist() == [image.tobytes()]
    assert table.schema.metadata == {b"size": b"4"}


def test_a_damaged_shard_is_refused(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, 4, 8)
    writer.add("train", np.zeros((4, 4, 3), dtype=np.uint8))
    (place,) = writer.close()
    path = tmp_path / place.shard
    checksum = sha256_file(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"damaged; got .*train-\w+\.parquet"):
        read_shard(path, checksum, 4)
