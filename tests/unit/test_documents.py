from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.documents import load_yaml, parse_yaml
from identity_masker.errors import BadInputError, NotFoundError


class Folder(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["folder"]
    depth: int = 1


class Table(BaseModel):
    kind: Literal["table"]


class Garden(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "unnamed"
    beds: list[int] = []
    source: Folder | Table | None = Field(default=None, discriminator="kind")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "garden.yaml"


def test_a_file_becomes_the_model_and_an_empty_one_its_defaults(path: Path) -> None:
    path.write_text("name: Süd\nbeds: [1, 2]\nsource: {kind: folder, depth: 3}\n", encoding="utf-8")
    assert load_yaml(Garden, path, "garden") == Garden(name="Süd", beds=[1, 2], source=Folder(kind="folder", depth=3))
    path.write_text("# nothing\n")
    assert load_yaml(Garden, path, "garden") == Garden()


def test_a_file_that_is_not_there_or_is_a_folder_is_not_found(path: Path) -> None:
    for missing in (path, path.parent):
        with pytest.raises(NotFoundError, match=r"there is no garden; got .*; to fix: dig one"):
            load_yaml(Garden, missing, "garden", fix="dig one")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"name: [", "the garden is not YAML"),
        (b"name: S\xfcd", "the garden cannot be read.*expected YAML in UTF-8"),
        (b"name: a\x00b", "is not YAML"),
        (b"name: 2026-13-45", "is not YAML.*month must be in 1..12"),
        (b"name: !!python/object:os.system x", "is not YAML"),
        (b"? [a]\n: b", "is not YAML"),
        (b"beds: " + b"[" * 5000, "is not YAML"),
        (b"name: a\nbeds: []\nname: b", "is not YAML.*the key 'name' comes twice"),
        (b"- a\n- b", "the garden is not a mapping; got .*: list"),
        (b"just words", "the garden is not a mapping; got .*: str"),
        (b"name: 3\nbeds: [1, x]", r"does not validate; got .*: name: .*; beds\.1: .*to fix: correct the fields named"),
        (b"source: {kind: folder, colour: red}", r": source\.colour: Extra"),
        (b"source: {kind: folder, depth: deep}", r": source\.depth: "),
        (b"source: {kind: pond}", r": source: Input tag 'pond'"),
        (b"\n".join(b"x%d: 1" % n for n in range(30)), "and 20 more"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(path: Path, content: bytes, complaint: str) -> None:
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=f"(?s){complaint}"):
        load_yaml(Garden, path, "garden")


def test_what_is_merged_into_a_mapping_may_be_overruled_there() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n"
    assert parse_yaml(text, "garden", "here") == yaml.safe_load(text)


@given(st.binary(max_size=60) | st.text("abnmeds:[]{}-\n &*!?0.'\"<>|", max_size=40).map(str.encode))
def test_any_content_is_a_model_or_bad_input(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with contextlib.suppress(BadInputError):
        assert isinstance(load_yaml(Garden, path, "garden"), Garden)
