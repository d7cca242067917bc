from __future__ import annotations

import os
import uuid
from pathlib import Path

import fsspec

from identity_masker.registry.checkpoint_file import CheckpointFile


def test_a_folder_as_the_store_needs_no_copy(tmp_path: Path) -> None:
    checkpoint = CheckpointFile(f"file://{tmp_path}/store/c.pt", tmp_path / "work")
    assert checkpoint.path == tmp_path / "store" / "c.pt"


def test_a_remote_store_gets_each_change_and_gives_it_to_the_next_attempt(tmp_path: Path) -> None:
    uri = f"memory://{uuid.uuid4().hex}/c.pt"
    first = CheckpointFile(uri, tmp_path / "a")
    first.publish()
    assert not fsspec.filesystem("memory").exists(uri)
    first.path.parent.mkdir()
    for turn, content in enumerate((b"one", b"two")):
        first.path.write_bytes(content)
        os.utime(first.path, ns=(turn, turn + 1))
        first.publish()
    assert CheckpointFile(uri, tmp_path / "b").path.read_bytes() == b"two"


def test_a_finished_training_leaves_no_checkpoint(tmp_path: Path) -> None:
    uri = f"memory://{uuid.uuid4().hex}/c.pt"
    fsspec.filesystem("memory").pipe_file(uri, b"state")
    checkpoint = CheckpointFile(uri, tmp_path)
    checkpoint.remove()
    assert not fsspec.filesystem("memory").exists(uri)
    checkpoint.remove()
