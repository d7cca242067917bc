"""Manifests: tables of URIs, as Parquet and as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.faces.readers.reading import content, each, people, picture

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.readers import ManifestReader
from identity_masker.faces.readers.manifest import POINTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2):
        (tmp_path / f"{number}.jpg").write_bytes(picture(number))
    return tmp_path


def test_a_manifest_names_pictures_beside_it_and_elsewhere(folder: Path, tmp_path: Path) -> None:
    rows = {"uri": ["1.jpg", f"file://{folder}/2.jpg", str(folder / "3.jpg")], "identity": ["ada", None, "bob"]}
    pq.write_table(pa.table(rows), folder / "faces.parquet")
    reader = ManifestReader(path=str(folder / "faces.parquet"))
    assert list(people(reader).values()) == ["ada", None, "bob"]
    found = list(each(reader, content).values())
    assert found == [picture(1), picture(2), "missing"]


def test_other_columns_become_attributes_and_points(folder: Path) -> None:
    points = dict(zip(POINTS, ([float(n)] for n in range(10)), strict=True))
    rows = {"uri": ["1.jpg"], "identity": ["7"], "consent": [True], "camera": [None], "age": [31], **points}
    pq.write_table(pa.table(rows), folder / "faces.parquet")
    labels = each(ManifestReader(path=str(folder / "faces.parquet")), lambda one: one.labels)["1.jpg"]
    assert labels.attributes == {"consent": True, "age": 31}
    np.testing.assert_array_equal(labels.anchors, np.arange(10).reshape(5, 2))


def test_names_that_look_like_numbers_stay_as_they_are(folder: Path) -> None:
    (folder / "faces.csv").write_text("uri,identity,name\n1.jpg,007,0001\n")
    assert people(ManifestReader(path=str(folder / "faces.csv"))) == {"0001": "007"}


def test_the_etag_follows_the_file_and_the_row(folder: Path) -> None:
    def etags(text: str) -> list[str]:
        (folder / "faces.csv").write_text(text)
        return [one.etag for one in ManifestReader(path=str(folder / "faces.csv")).listing()]

    first = etags("uri,identity,age\n1.jpg,ada,3\n2.jpg,ada,3\n")
    second = etags("uri,identity,age\n1.jpg,ada,4\n2.jpg,ada,3\n")
    assert (first[0] != second[0], first[1] == second[1]) == (True, True)
    (folder / "2.jpg").write_bytes(picture(9, width=50))
    assert etags("uri,identity,age\n1.jpg,ada,4\n2.jpg,ada,3\n")[1] != second[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("uri;identity\n1.jpg;ada\n", "separated by ';'.*write the file with commas"),
        ("uri\tidentity\n1.jpg\tada\n", "separated by '\\\\t'"),
        ("path,person\n1.jpg,ada\n", "got .*: path, person; expected uri and identity"),
        ("uri,identity,nose_x\n1.jpg,ada,3\n", "all or none of eye_left_x"),
        ("uri,identity\n1.jpg,ada,3\n", "cannot be read; got .*Expected 2 columns, got 3"),
        ("", "cannot be read"),
    ],
)
def test_a_csv_that_is_no_manifest_is_refused(text: str, said: str, folder: Path) -> None:
    (folder / "faces.csv").write_text(text)
    with pytest.raises(BadInputError, match=said):
        list(ManifestReader(path=str(folder / "faces.csv")).listing())


def test_a_file_that_is_not_parquet_and_one_that_is_missing_are_refused(folder: Path) -> None:
    (folder / "faces.parquet").write_bytes(b"PAR1 and then nothing of the kind")
    with pytest.raises(BadInputError, match="manifest cannot be read"):
        list(ManifestReader(path=str(folder / "faces.parquet")).listing())
    with pytest.raises(NotFoundError, match="manifest does not exist"):
        list(ManifestReader(path=str(folder / "none.parquet")).listing())
