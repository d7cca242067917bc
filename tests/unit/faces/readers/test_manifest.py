"""Manifests: tables of URIs, as Parquet and as CSV."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv
from tests.unit.faces.readers.reading import content, each, people, picture

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.readers import ManifestReader
from identity_masker.faces.readers.manifest import POINTS
from identity_masker.faces.readers.source import Labels


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
        ("path,person\n1.jpg,ada\n", "got .*: path, person; expected each column once, uri and identity"),
        ("uri,identity,nose_x\n1.jpg,ada,3\n", "all or none of eye_left_x"),
        ("uri,identity\n1.jpg,ada,3\n", "cannot be read; got .*Expected 2 columns, got 3"),
        ("", "cannot be read"),
        ("uri,identity,uri\n1.jpg,ada,2.jpg\n", "expected each column once"),
        ("uri,identity\nfoo://x/1.jpg,ada\n", "kind of store that is not read here; got foo://x"),
        (f"uri,identity,{','.join(POINTS)}\n1.jpg,ada{',left' * 10}\n", "lie in no picture; got .*'left'.* for 1.jpg"),
        (f"uri,identity,{','.join(POINTS)}\n1.jpg,ada{',1e300' * 10}\n", r"lie in no picture; got .*1e\+300"),
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


@pytest.mark.parametrize("text", ["uri,identity,größe\n1.jpg,ada,3\n", "uri,identity\n1.jpg,Zoë\n"])
def test_a_csv_in_another_encoding_than_utf8_is_refused(text: str, folder: Path) -> None:
    (folder / "faces.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInputError, match=r"manifest cannot be read.*UTF-8"):
        list(ManifestReader(path=str(folder / "faces.csv")).listing())


def test_days_that_python_cannot_hold_are_refused(folder: Path) -> None:
    rows = {"uri": ["1.jpg"], "identity": ["ada"], "born": pa.array([2**30], pa.date32())}
    pq.write_table(pa.table(rows), folder / "faces.parquet")
    with pytest.raises(BadInputError, match=r"manifest cannot be read; got .*days=1073741824"):
        list(ManifestReader(path=str(folder / "faces.parquet")).listing())


def test_what_pandas_writes_for_an_empty_cell_is_no_value(folder: Path) -> None:
    rows = {"uri": ["1.jpg"], "identity": [""], "age": [float("nan")]}
    points = {name: [float("nan")] for name in POINTS}
    pq.write_table(pa.table(rows | points), folder / "faces.parquet")
    reader = ManifestReader(path=str(folder / "faces.parquet"))
    assert people(reader) == {"1.jpg": None}
    assert each(reader, lambda one: one.labels)["1.jpg"] == Labels(attributes={})


def test_a_name_that_no_file_can_have_is_missing(folder: Path) -> None:
    pq.write_table(pa.table({"uri": ["1\0.jpg"], "identity": ["ada"]}), folder / "faces.parquet")
    assert list(each(ManifestReader(path=str(folder / "faces.parquet")), content).values()) == ["missing"]


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["faces.parquet", "faces.csv"]), data=st.data())
def test_a_damaged_manifest_is_read_or_refused_and_nothing_else(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("manifests") / name
    table = pa.table({"uri": ["1.jpg", "2.jpg"], "identity": ["ada", None], "age": [3, 4], "consent": [True, False]})
    (pq.write_table if name.endswith("parquet") else csv.write_csv)(table, path)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with contextlib.suppress(BadInputError):
        assert set(each(ManifestReader(path=str(path)), content).values()) <= {"missing", "unreadable", "not_a_file"}
