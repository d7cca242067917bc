from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tests.unit.masking.maskers import SECRET, faces, small_masker

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.masking.artifact import DESCRIPTION, WEIGHTS, load, save
from identity_masker.masking.config import PixelationConfig
from identity_masker.masking.pixelation import PixelationMasker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(small_masker(), tmp_path)
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    path = folder / DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_loaded_masker_masks_as_the_saved_one(folder: Path) -> None:
    images = faces(4).images
    loaded = load(folder, SECRET)
    assert (loaded.architecture, loaded.size) == ("factor-bottleneck", 64)
    assert np.array_equal(loaded.mask(images, list("abcd")), small_masker().mask(images, list("abcd")))


def test_every_kind_of_masker_comes_back_from_its_files(tmp_path: Path) -> None:
    images = faces(4).images
    mosaic = PixelationMasker(PixelationConfig(name="pixelation", blocks=4))
    save(mosaic, tmp_path)
    loaded = load(tmp_path, SECRET)
    assert (loaded.architecture, loaded.size) == ("pixelation", 64)
    assert np.array_equal(loaded.mask(images, list("abcd")), mosaic.mask(images, list("abcd")))


def test_saving_the_same_masker_gives_the_same_bytes(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("again")
    save(small_masker(), other)
    assert artifacts.sha256_folder(other) == artifacts.sha256_folder(folder)


def test_there_is_no_secret_in_the_files(folder: Path) -> None:
    assert all(SECRET.encode() not in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("name", [DESCRIPTION, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(NotFoundError, match=name):
        load(folder)


def test_changed_weights_are_refused(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(BadInputError, match="not the ones that were saved"):
        load(folder)


def test_another_architecture_is_refused(folder: Path) -> None:
    edit(folder, architecture="u-net")
    with pytest.raises(BadInputError, match=r"u-net.*factor-bottleneck"):
        load(folder)


@pytest.mark.parametrize("changes", [{"config": {"bits": 99}}, {"surprise": 1}])
def test_a_description_that_does_not_validate_is_refused(folder: Path, changes: dict[str, object]) -> None:
    edit(folder, **changes)
    with pytest.raises(BadInputError, match="does not validate"):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_description_that_is_not_one_is_refused(folder: Path, text: str) -> None:
    (folder / DESCRIPTION).write_text(text)
    with pytest.raises(BadInputError, match="does not validate"):
        load(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    network = small_masker().network.state_dict()
    name = next(iter(network))
    save_file({**network, name: network[name][:1].clone()}, folder / WEIGHTS)
    edit(folder, weights_sha256=artifacts.sha256_file(folder / WEIGHTS))
    with pytest.raises(BadInputError, match="do not fit"):
        load(folder)


def test_weights_that_are_no_numbers_are_neither_saved_nor_loaded(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["look_around.layers.1.0.weight"][0] = float("nan")
    save_file(weights, folder / WEIGHTS)
    edit(folder, weights_sha256=artifacts.sha256((folder / WEIGHTS).read_bytes()))
    with pytest.raises(BadInputError, match=r"not finite.*look_around\.layers\.1\.0\.weight"):
        load(folder, SECRET)
    masker = small_masker()
    masker.network.load_state_dict(weights)
    with pytest.raises(BadInputError, match="not finite"):
        save(masker, tmp_path / "broken")
    assert not (tmp_path / "broken").exists()
