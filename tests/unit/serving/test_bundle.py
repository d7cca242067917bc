from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_masker.serving.bundle import GZIP, TAR, ZIP, BundleLimits, Entry, kind_of, pack, safe_name, unpack
from identity_masker.serving.problem import HttpError

LIMITS = BundleLimits(files=5, file_bytes=1000, bytes=3000)
FILES = [Entry("a.png", b"first"), Entry("folder/b.jpg", b"second"), Entry("c", b"")]


def zipped(entries: Sequence[Entry]) -> bytes:
    return pack(ZIP, entries)


def refusal(kind: str, body: bytes) -> tuple[int, str]:
    with pytest.raises(HttpError) as raised:
        unpack(kind, body, LIMITS)
    return raised.value.status, raised.value.reason


@pytest.mark.parametrize("kind", [ZIP, TAR])
def test_what_is_packed_is_found_again(kind: str) -> None:
    assert unpack(kind, pack(kind, FILES), LIMITS) == FILES


def test_a_zipped_tar_is_unpacked() -> None:
    assert unpack(GZIP, gzip.compress(pack(TAR, FILES)), LIMITS) == FILES


def test_folders_hidden_files_and_what_is_no_file_are_left_out() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, kind in (("folder", tarfile.DIRTYPE), ("link", tarfile.SYMTYPE), ("device", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        for name in (".DS_Store", "__MACOSX/a.png", "a.png"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    assert unpack(TAR, target.getvalue(), LIMITS) == [Entry("a.png", b"x")]


@given(st.text(min_size=1, max_size=60))
def test_no_name_leaves_its_folder(name: str) -> None:
    clean = safe_name(name)
    assert clean
    assert not clean.startswith("/")
    assert ".." not in clean.split("/")


def test_two_files_of_one_name_both_come_back() -> None:
    names = [entry.name for entry in unpack(TAR, pack(TAR, [Entry("a", b"1"), Entry("../a", b"2")]), LIMITS)]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ZIP, zipped([Entry(f"{n}", b"x") for n in range(6)])),
        (ZIP, zipped([Entry("a", bytes(1001))])),
        (TAR, pack(TAR, [Entry(f"{n}", bytes(900)) for n in range(4)])),
        (GZIP, gzip.compress(bytes(100_000_000))),
    ],
    ids=["files", "one file", "all files", "bomb"],
)
def test_more_than_the_limits_is_413(kind: str, body: bytes) -> None:
    assert refusal(kind, body) == (413, "bundle_too_large")


def test_a_bomb_that_a_zip_hides_is_not_unpacked() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(50_000_000))
    assert refusal(ZIP, target.getvalue()) == (413, "bundle_too_large")


@pytest.mark.parametrize("kind", [ZIP, TAR, GZIP])
@pytest.mark.parametrize("body", [b"nonsense", b"PK\x03\x04" + bytes(40), b"\x1f\x8b" + bytes(20), zipped(FILES)[:-30]])
def test_what_is_no_archive_is_422(kind: str, body: bytes) -> None:
    assert refusal(kind, body) == (422, "bundle_unreadable")


def test_a_file_without_a_name_gets_one() -> None:
    body = bytearray(zipped([Entry("a", b"first")]))
    body[30] = body[body.rindex(b"PK\x01\x02") + 46] = 0
    assert unpack(ZIP, bytes(body), LIMITS) == [Entry("picture", b"first")]


@pytest.mark.parametrize(("mark", "at", "width"), [(b"PK\x01\x02", 46, 1), (b"PK\x05\x06", 16, 4)])
def test_a_zip_with_a_wrong_name_or_place_in_its_directory_is_422(mark: bytes, at: int, width: int) -> None:
    body = bytearray(zipped([Entry("é.png", b"first")]))
    place = body.rindex(mark) + at
    body[place : place + width] = b"\xff" * width
    assert refusal(ZIP, bytes(body)) == (422, "bundle_unreadable")


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from([ZIP, TAR, GZIP]), data=st.data())
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(gzip.compress(pack(TAR, FILES)) if kind == GZIP else pack(kind, FILES))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(HttpError):
        unpack(kind, bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), LIMITS)


def test_an_archive_without_files_is_422() -> None:
    assert refusal(ZIP, zipped([])) == (422, "empty_bundle")


@pytest.mark.parametrize(
    ("header", "kind"),
    [("application/zip", ZIP), ("Application/X-Zip-Compressed; x=y", ZIP), ("image/png", None), (None, None)],
)
def test_the_content_type_says_whether_it_is_a_bundle(header: str | None, kind: str | None) -> None:
    assert kind_of(header) == kind
