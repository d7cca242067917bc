"""Archives of all kinds hold the same pictures, and damage in one costs at most what is damaged."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.faces.readers.reading import content, each, people, picture

from identity_masker.errors import BadInputError
from identity_masker.faces.decode import REASONS, Limits
from identity_masker.faces.readers import ArchiveReader

FILES = {"faces/ada/1.jpg": picture(1), "faces/ada/trip/2.jpg": picture(2), "faces/bob/1.jpg": picture(3)}


def zipped(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(files: dict[str, bytes], path: Path) -> Path:
    with tarfile.open(path, "w:" + path.suffix[1:].replace("tar", "").replace("tgz", "gz")) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make(files: dict[str, bytes], path: Path) -> Path:
    return zipped(files, path) if path.suffix == ".zip" else tarred(files, path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_every_file_in_an_archive_is_an_input_of_its_person(name: str, tmp_path: Path) -> None:
    reader = ArchiveReader(path=make(FILES, tmp_path / name))
    assert people(reader) == {"faces/ada/1.jpg": "ada", "faces/ada/trip/2.jpg": "ada", "faces/bob/1.jpg": "bob"}
    with reader.open(list(reader.listing()), 1) as opened:
        assert {one.name: one.read(Limits()) for one in opened} == FILES


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_a_part_of_an_archive_can_be_read_alone(name: str, tmp_path: Path) -> None:
    reader = ArchiveReader(path=make(FILES, tmp_path / name))
    with reader.open(list(reader.listing())[2:], 1) as opened:
        assert [one.read(Limits()) for one in opened] == [FILES["faces/bob/1.jpg"]]


def test_a_folder_that_names_a_person_is_kept(tmp_path: Path) -> None:
    assert people(ArchiveReader(path=zipped({"ada/1.jpg": b"x", "ada/2.jpg": b"y"}, tmp_path / "a.zip"))) == {
        "ada/1.jpg": "ada",
        "ada/2.jpg": "ada",
    }


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_members_that_cannot_be_used_are_refused_one_by_one(name: str, tmp_path: Path) -> None:
    path = make({"ada/empty.jpg": b"", "ada/big.jpg": bytes(2000), "ada/ok.jpg": b"ok"}, tmp_path / name)
    found = each(ArchiveReader(path=path), lambda one: content(one, Limits(max_bytes=100)))
    assert found == {"ada/empty.jpg": "empty", "ada/big.jpg": "too_large", "ada/ok.jpg": b"ok"}


@pytest.mark.parametrize("name", ["a.tar", "a.tgz"])
def test_links_in_an_archive_are_not_followed(name: str, tmp_path: Path) -> None:
    path = tarred(FILES, tmp_path / "plain.tar")
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        link = tarfile.TarInfo("ada/../../secret.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, str(path)
        archive.addfile(link)
    assert each(ArchiveReader(path=tmp_path / name), content) == {"ada/secret.jpg": "not_a_file"}


def test_changed_members_of_a_zip_have_another_etag_and_others_keep_theirs(tmp_path: Path) -> None:
    first = {one.name: one.etag for one in ArchiveReader(path=zipped(FILES, tmp_path / "a.zip")).listing()}
    changed = FILES | {"faces/bob/1.jpg": picture(4)}
    second = {one.name: one.etag for one in ArchiveReader(path=zipped(changed, tmp_path / "b.zip")).listing()}
    assert {name for name in FILES if first[name] != second[name]} == {"faces/bob/1.jpg"}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_a_truncated_archive_is_refused_as_a_whole(name: str, tmp_path: Path) -> None:
    path = make(FILES, tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(BadInputError, match=r"archive cannot be read.*copy or download it again"):
        list(ArchiveReader(path=path).listing())


@pytest.mark.parametrize("length", range(12))
def test_an_archive_that_ends_in_its_header_is_refused(length: int, tmp_path: Path) -> None:
    path = make(FILES, tmp_path / "a.tgz")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BadInputError, match="archive cannot be read"):
        list(ArchiveReader(path=path).listing())


@pytest.mark.parametrize("name", ["a.tar.bz2", "a.tar.xz"])
def test_damage_in_the_middle_of_a_compressed_tar_is_of_the_archive(name: str, tmp_path: Path) -> None:
    noise = {f"ada/{row}.jpg": random.Random(row).randbytes(100_000) for row in range(20)}
    content = bytearray(make(noise, tmp_path / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 5000] = b"\xff" * 5000
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match="archive cannot be read"):
        list(ArchiveReader(path=tmp_path / name).listing())


def test_optional_fields_in_the_header_of_a_tgz_are_passed_over(tmp_path: Path) -> None:
    path = make(FILES, tmp_path / "a.tgz")
    plain = gzip.decompress(path.read_bytes())
    body = gzip.compress(plain)[10:]
    path.write_bytes(b"\x1f\x8b\x08\x04" + bytes(6) + b"\x04\x00" + b"HELM" + body)
    assert len(people(ArchiveReader(path=path))) == len(FILES)


def test_a_zip_of_a_later_version_of_the_format_is_refused_and_a_member_without_a_name_gets_one(tmp_path: Path) -> None:
    whole = zipped({"x": b"a picture"}, tmp_path / "a.zip").read_bytes()
    directory = whole.rindex(b"PK\x01\x02")
    (tmp_path / "a.zip").write_bytes(whole[: directory + 6] + b"\xff" + whole[directory + 7 :])
    with pytest.raises(BadInputError, match=r"zip file version 25\.5"):
        list(ArchiveReader(path=tmp_path / "a.zip").listing())
    (tmp_path / "a.zip").write_bytes(whole[: directory + 46] + b"\0" + whole[directory + 47 :])
    assert list(people(ArchiveReader(path=tmp_path / "a.zip"))) == ["unnamed"]


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["a.zip", "a.tar", "a.tgz"]), data=st.data())
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = make(FILES, tmp_path_factory.mktemp("archives") / name)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        found = each(ArchiveReader(path=path), lambda one: content(one, Limits(max_bytes=100_000)))
    except BadInputError:
        return
    assert all(isinstance(one, bytes) or one in REASONS for one in found.values())
