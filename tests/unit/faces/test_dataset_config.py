from __future__ import annotations

from pathlib import Path

import pytest

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.dataset_config import DatasetConfig, load_config
from identity_masker.faces.readers import FolderReader, RenderedReader
from identity_masker.settings import PROJECT

CONFIG = PROJECT / "include" / "config"


def test_the_shipped_configurations_are_valid() -> None:
    names = sorted(path.stem for path in (CONFIG / "datasets").glob("*.yaml"))
    assert set(names) == {"celeba", "folder", "lfw", "rendered", "rendered-full", "video"}
    for name in names:
        config = load_config(name, CONFIG)
        assert config.name == name
        rules = load_config(config.rules_from, CONFIG).rules if config.rules_from else config.rules
        assert any(rule.severity == "stop" for rule in rules.values())


def test_an_unknown_configuration_names_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"got nonsense; expected one of \['celeba', 'folder', .*\]"):
        load_config("nonsense", CONFIG)


@pytest.mark.parametrize("name", ["../datasets/folder", "", "folder.yaml"])
def test_a_configuration_name_is_not_a_path(name: str) -> None:
    with pytest.raises(NotFoundError):
        load_config(name, CONFIG)


def loaded(text: str, folder: Path) -> DatasetConfig:
    (folder / "datasets").mkdir()
    (folder / "datasets" / "here.yaml").write_text(text)
    return load_config("here", folder)


def test_wrong_fields_are_all_named(tmp_path: Path) -> None:
    text = (
        "name: x\nreader: {kind: folder, colour: red}\nsize: 1\nrules: {r: {column: a, severity: no, why: w, fix: f}}"
    )
    with pytest.raises(BadInputError) as caught:
        loaded(text, tmp_path)
    for field in ("here.yaml", "reader.colour", "size", "rules.r.severity"):
        assert field in str(caught.value)


@pytest.mark.parametrize("text", ["name: [", "just text", ""])
def test_text_that_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"here\.yaml"):
        loaded(text, tmp_path)


def test_a_source_replaces_the_folder(tmp_path: Path) -> None:
    config = load_config("folder", CONFIG).reading(source=tmp_path, images=5)
    assert config.reader == FolderReader(path=tmp_path, images=5)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("faces", "folder"), ("faces.zip", "archive"), ("faces.TAR.GZ", "archive"), ("faces.parquet", "manifest"),
        ("s3://bucket/faces.csv", "manifest"), ("ada.mp4", "video"),
    ],
)  # fmt: skip
def test_the_ending_of_a_source_says_how_to_read_it(source: str, kind: str) -> None:
    reader = load_config("folder", CONFIG).reading(source=source, images=3).reader
    assert (reader.kind, reader.images, str(getattr(reader, "path", ""))) == (kind, 3, source)


def test_a_bucket_is_not_a_source() -> None:
    with pytest.raises(BadInputError, match="list the pictures in a manifest"):
        load_config("folder", CONFIG).reading(source="s3://bucket/faces", images=None)


def test_a_source_for_the_renderer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="does not read a source"):
        load_config("rendered", CONFIG).reading(source=tmp_path, images=None)


def test_fewer_images_come_from_fewer_people() -> None:
    reader = load_config("rendered", CONFIG).reading(source=None, images=680).reader
    assert isinstance(reader, RenderedReader)
    assert (reader.images, reader.people) == (680, 40)


def test_a_renamed_dataset_keeps_its_rules() -> None:
    config = load_config("folder", CONFIG)
    named = config.named("staff")
    assert (named.name, named.rules_from, named.rules) == ("staff", "folder", config.rules)
    with pytest.raises(BadInputError, match="not a dataset name"):
        config.named("Staff Photos")
