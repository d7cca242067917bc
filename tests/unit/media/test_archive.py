"""A damaged file in an archive is refused alone, and a damaged archive as a whole."""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.media import archive

FILES = {"a.png": b"first" * 40, "folder/b.png": b"second" * 40}


def packed(path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in FILES.items():
                file.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as rolled:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            rolled.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_what_is_in_an_archive_is_read(name: str, tmp_path: Path) -> None:
    with archive.opened(packed(tmp_path / name)) as opened:
        assert {one: opened.read(one, 1000) for one in opened.names()} == FILES


def test_a_damaged_file_in_a_zip_is_refused_alone(tmp_path: Path) -> None:
    content = bytearray(packed(tmp_path / "a.zip").read_bytes())
    content[38] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(content)
    with archive.opened(tmp_path / "a.zip") as opened:
        with pytest.raises(BadInputError, match=r"file in the archive cannot be read; got a\.png"):
            opened.read("a.png", 1000)
        assert opened.read("folder/b.png", 1000) == FILES["folder/b.png"]


def test_an_encrypted_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    content = bytearray(packed(tmp_path / "a.zip").read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with archive.opened(tmp_path / "a.zip") as opened, pytest.raises(BadInputError, match=r"a\.png.*encrypted"):
        opened.read("a.png", 1000)


def test_an_error_of_whoever_reads_is_not_said_of_the_archive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), archive.opened(packed(tmp_path / "a.zip")):
        raise ValueError("mine")


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["a.zip", "a.tar", "a.tar.gz"]), data=st.data())
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = packed(tmp_path_factory.mktemp("archives") / name)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with contextlib.suppress(BadInputError), archive.opened(path) as opened:
        for one in opened.names():
            with contextlib.suppress(BadInputError):
                opened.read(one, 1000)
