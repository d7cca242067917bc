from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError, TemporaryError


@given(content=st.binary(max_size=2000))
def test_what_is_written_is_read(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    uri = f"file://{tmp_path_factory.mktemp('a')}/deep/er/x"
    artifacts.write_bytes(uri, content)
    assert artifacts.read_bytes(uri) == content


class Word(BaseModel):
    word: str


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is damaged"), (b'{"word": "a', "is damaged"), (b"\xff\xfe{", "is damaged"), (b"[" * 9999, "is damaged"),
        (b'{"word": 3}', "does not validate; got .*: word: "), (b"[]", "does not validate"),
    ],
)  # fmt: skip
def test_a_stored_document_that_is_damaged_or_another_is_named_with_what_to_do(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "word.json"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=rf"stored document {complaint}.*to fix: restore it from the backup"):
        artifacts.read_model(Word, str(path))


def test_json_round_trip_refuses_nan(tmp_path: Path) -> None:
    uri = str(tmp_path / "x.json")
    artifacts.write_json(uri, {"a": [1, 2.5, None]})
    assert artifacts.read_json(uri) == {"a": [1, 2.5, None]}
    with pytest.raises(ValueError, match="JSON compliant"):
        artifacts.write_json(uri, {"a": float("nan")})


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        artifacts.read_bytes(f"{tmp_path}/nowhere")


def test_interrupted_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x"
    artifacts.write_bytes(str(target), b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TemporaryError, match="no space left"):
        artifacts.write_bytes(str(target), b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_path_through_a_file_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInputError, match="cannot be written"):
        artifacts.write_bytes(str(tmp_path / "file" / "y"), b"")


def test_folder_hash_depends_on_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    artifacts.write_bytes(f"{folder}/a", b"1")
    first = artifacts.sha256_folder(folder)
    assert artifacts.sha256_folder(folder) == first
    (folder / "a").rename(folder / "b")
    renamed = artifacts.sha256_folder(folder)
    artifacts.write_bytes(f"{folder}/b", b"2")
    assert len({first, renamed, artifacts.sha256_folder(folder)}) == 3


def test_join_keeps_the_scheme() -> None:
    assert artifacts.join("s3://bucket/root/", "/a/", "b") == "s3://bucket/root/a/b"


def test_of_many_writers_one_creates_the_file(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/deep/once"
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: artifacts.create_bytes(uri, str(n).encode()), range(32)))
    assert won.count(True) == 1
    assert artifacts.read_bytes(uri) == str(won.index(True)).encode()
    assert artifacts.names(f"file://{tmp_path}/deep") == ["once"]


def test_names_are_listed_without_hidden_ones(tmp_path: Path) -> None:
    assert artifacts.names(f"{tmp_path}/nothing") == []
    for name in ("b", "a/deep", ".hidden"):
        artifacts.write_bytes(f"{tmp_path}/{name}", b"x")
    assert artifacts.names(str(tmp_path)) == ["a", "b"]
