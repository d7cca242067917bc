from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.decode import Limits, UndecodableError
from identity_masker.faces.readers import FolderReader, RenderedReader
from identity_masker.faces.readers.source import FaceInput, Listed
from identity_masker.faces.readers.workers import in_order


def inputs(reader: FolderReader | RenderedReader) -> list[FaceInput]:
    with reader.open(list(reader.listing()), 2) as opened:
        return list(opened)


def reason(source: FaceInput, limits: Limits | None = None) -> str:
    with pytest.raises(UndecodableError) as caught:
        source.read(limits or Limits())
    return caught.value.reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("ada/1.png", "ada/trip/2.png", "bob/1.png", "readme.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(path.encode())
    return tmp_path


def test_a_folder_gives_every_file_with_its_person(folder: Path) -> None:
    found = [(one.name, one.identity) for one in inputs(FolderReader(path=folder))]
    assert found == [("ada/1.png", "ada"), ("ada/trip/2.png", "ada"), ("bob/1.png", "bob"), ("readme.txt", None)]


def test_the_parent_folder_can_name_the_person(folder: Path) -> None:
    found = [one.identity for one in inputs(FolderReader(path=folder, identity="parent_folder"))]
    assert found == ["ada", "ada/trip", "bob", None]


def test_files_are_read_as_they_are(folder: Path) -> None:
    assert next(one.read(Limits()) for one in inputs(FolderReader(path=folder))) == b"ada/1.png"


def test_what_is_not_a_readable_file_is_refused_without_opening_it(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "gone.png").symlink_to("nowhere")
    (tmp_path / "ada" / "other").symlink_to(tmp_path)
    (tmp_path / "ada" / "empty.png").touch()
    (tmp_path / "ada" / "big.png").write_bytes(bytes(20))
    os.mkfifo(tmp_path / "ada" / "pipe.png")
    reasons = {one.name: reason(one, Limits(max_bytes=10)) for one in inputs(FolderReader(path=tmp_path))}
    assert reasons == {
        "ada/big.png": "too_large",
        "ada/empty.png": "empty",
        "ada/gone.png": "not_a_file",
        "ada/other": "not_a_file",
        "ada/pipe.png": "not_a_file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_refused(folder: Path) -> None:
    (folder / "bob" / "1.png").chmod(0)
    (folder / "ada").chmod(0)
    try:
        reasons = {one.name: reason(one) for one in inputs(FolderReader(path=folder)) if one.name != "readme.txt"}
    finally:
        (folder / "ada").chmod(0o700)
    assert reasons == {"ada": "unreadable", "bob/1.png": "unreadable"}


def test_names_that_are_not_text_are_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/ada/\xff.png")).write_bytes(b"x")
    (one,) = inputs(FolderReader(path=tmp_path))
    assert one.name == r"ada/\xff.png"
    assert one.read(Limits()) == b"x"


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotFoundError, match="does not exist"):
        inputs(FolderReader(path=tmp_path / "nothing"))
    with pytest.raises(NotFoundError, match="pass it with --source"):
        inputs(FolderReader())
    with pytest.raises(BadInputError, match="is not a folder"):
        inputs(FolderReader(path=tmp_path / "file"))


def test_rendered_faces_have_people_names_and_labels() -> None:
    found = inputs(RenderedReader(people=3, images=7))
    assert [one.name for one in found[:4]] == [
        "seed-1/person-00000/shot-0000",
        "seed-1/person-00001/shot-0000",
        "seed-1/person-00002/shot-0000",
        "seed-1/person-00000/shot-0001",
    ]
    assert len({one.name for one in found}) == 7
    assert len({one.identity for one in found}) == 3
    for one in found:
        pixels: Any = one.read(Limits())
        assert pixels.shape == (64, 64, 3)
        assert one.labels is not None
        assert one.labels.factors is not None
        assert one.labels.landmarks is not None
        assert one.labels.factors.shape == (16,)
        assert one.labels.landmarks.shape == (10, 2)


def test_rendered_faces_do_not_depend_on_the_number_of_workers() -> None:
    reader = RenderedReader(people=4, images=300)
    listed = list(reader.listing())

    def drawn(part: list[Listed], workers: int) -> list[Any]:
        with reader.open(part, workers) as opened:
            return [one.read(Limits()) for one in opened]

    alone, several = drawn(listed, 1), drawn(listed[:5], 3) + drawn(listed[5:], 3)
    np.testing.assert_array_equal(np.stack(alone), np.stack(several))


def test_the_etag_of_a_rendered_face_follows_what_draws_it() -> None:
    def etags(reader: RenderedReader) -> set[str]:
        return {one.etag for one in reader.listing()}

    assert etags(RenderedReader(images=9)) == etags(RenderedReader(images=9, people=3))
    assert etags(RenderedReader(images=9)).isdisjoint(etags(RenderedReader(images=9, seed=2)))


def test_work_comes_back_in_order() -> None:
    assert list(in_order(lambda number: number * 2, range(50), 4)) == list(range(0, 100, 2))


def test_workers_stay_close_ahead_of_what_is_taken() -> None:
    started: list[int] = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            started.append(number)
            yield number
            number += 1

    results = in_order(str, endless(), 2)
    assert next(results) == "0"
    assert len(started) <= 6
    results.close()  # type: ignore[attr-defined]


def test_an_error_in_a_worker_is_raised_where_results_are_taken() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 // number, [1, 0, 1], 2))
