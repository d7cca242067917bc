"""The graphs of a masker against its network, and a batch against its pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch.nn import functional

from identity_masker.errors import BadInputError, MaskerError, NotFoundError
from identity_masker.faces import render
from identity_masker.masking import artifact, graph_files, loading
from identity_masker.masking.config import ArchitectureConfig
from identity_masker.masking.graph_masker import GraphMasker
from identity_masker.masking.masker import FactorBottleneckMasker
from identity_masker.masking.networks import FactorReader
from identity_masker.masking.resizing import weights

SECRET = "graphs of a test"


def network(seed: int = 0) -> FactorBottleneckMasker:
    """Weights that nobody trained, spread out so that the factors fill their range."""
    torch.manual_seed(seed)
    config = ArchitectureConfig()
    reader = FactorReader(config)
    for look in (reader.look_around, reader.look_at_head, reader.look_at_face):
        look.layers[-1].weight.data.mul_(8.0)  # type: ignore[operator, union-attr]
    return FactorBottleneckMasker(config, reader, SECRET)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("masker")
    artifact.save(network(), made)
    artifact.export(network(), made)
    return made


@pytest.fixture(scope="module")
def graphs(folder: Path) -> GraphMasker:
    return GraphMasker(folder / graph_files.FOLDER, SECRET)


def faces(count: int, height: int, width: int) -> np.ndarray:
    drawn = render.draw(3, np.arange(count), np.arange(count), 128).images
    tall = np.concatenate([drawn, drawn[:, ::-1]], axis=1)
    return np.ascontiguousarray(np.concatenate([tall, tall], axis=2)[:, :height, :width])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 96), (51, 77), (16, 16), (200, 150), (128, 255)])
def test_the_graphs_mask_as_the_network_does(graphs: GraphMasker, height: int, width: int) -> None:
    images, keys = faces(3, height, width), ["a", "b", "c"]
    apart = np.abs(network().mask(images, keys).astype(int) - graphs.mask(images, keys))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-4


@hypothesis_settings(deadline=None, max_examples=25)
@given(count=st.integers(2, 20), height=st.integers(16, 140), width=st.integers(16, 140))
def test_a_batched_answer_is_to_the_bit_the_one_that_the_picture_gets_alone(
    graphs: GraphMasker, count: int, height: int, width: int
) -> None:
    images, keys = faces(count, height, width), [str(row) for row in range(count)]
    alone = [graphs.mask(images[row : row + 1], keys[row : row + 1]) for row in range(count)]
    np.testing.assert_array_equal(graphs.mask(images, keys), np.concatenate(alone))


@pytest.mark.parametrize("side", [16, 50, 64, 100, 500])
def test_pictures_are_resized_as_torch_does_it(side: int) -> None:
    pictures = np.random.default_rng(side).random((2, 3, side, side), dtype=np.float32)
    wanted = functional.interpolate(torch.from_numpy(pictures), size=(64, 64), mode="bilinear", antialias=True)
    matrix = weights(side, 64)
    np.testing.assert_allclose(matrix @ pictures @ matrix.T, wanted.numpy(), atol=1e-6)


def test_the_same_masker_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    artifact.export(network(), tmp_path)
    for name in (*graph_files.GRAPHS, graph_files.DESCRIPTION):
        assert (tmp_path / graph_files.FOLDER / name).read_bytes() == (folder / graph_files.FOLDER / name).read_bytes()


def test_a_masker_is_loaded_with_its_graphs_and_without_torch(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; import numpy as np; from identity_masker.masking import loading;"
        f"masker = loading.load(Path({str(folder)!r}));"
        "masker.mask(np.zeros((1, 70, 60, 3), np.uint8), ['key']);"
        "print(type(masker).__name__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["GraphMasker", "False"]


def test_more_threads_or_no_graphs_take_the_network(folder: Path, tmp_path: Path) -> None:
    artifact.save(network(), tmp_path)
    assert isinstance(loading.load(tmp_path), FactorBottleneckMasker)
    assert isinstance(loading.load(folder, threads=2), FactorBottleneckMasker)


def test_a_graph_that_was_changed_or_lost_is_refused(tmp_path: Path) -> None:
    artifact.export(network(), tmp_path)
    reader = tmp_path / graph_files.FOLDER / graph_files.READER
    reader.write_bytes(reader.read_bytes()[:-1] + b"\0")
    with pytest.raises(BadInputError, match="not the one that was saved"):
        GraphMasker(tmp_path / graph_files.FOLDER, SECRET)
    reader.unlink()
    with pytest.raises(NotFoundError, match="graph is missing"):
        GraphMasker(tmp_path / graph_files.FOLDER, SECRET)


def test_factors_that_are_no_numbers_raise_and_no_picture_comes_back(tmp_path: Path) -> None:
    masker = network()
    masker.network.look_around.layers[-1].bias.data.fill_(torch.nan)  # type: ignore[operator, union-attr]
    artifact.export(masker, tmp_path)
    with pytest.raises(MaskerError, match="not a number"):
        GraphMasker(tmp_path / graph_files.FOLDER, SECRET).mask(faces(1, 64, 64), ["key"])


def test_a_job_over_many_takes_the_graphs_where_there_is_no_gpu(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for driver in (tmp_path / "none", tmp_path):  # a machine without a driver, and one whose torch finds no GPU
        monkeypatch.setattr(loading, "GPU_DRIVER", driver)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert isinstance(loading.load_for_many(folder), GraphMasker)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_job_over_many_computes_on_the_gpu(folder: Path) -> None:
    masker = loading.load_for_many(folder)
    assert isinstance(masker, FactorBottleneckMasker)
    assert masker.device.type == "cuda"
