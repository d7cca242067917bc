from __future__ import annotations

import subprocess
import sys

import numpy as np

from identity_masker.faces import render
from identity_masker.faces.decode import Limits, decode
from identity_masker.serving import traffic_faces
from identity_masker.serving.traffic_mix import SIZES, drawn

LOSSY = 8.0
"""Grey levels that storing a face may move a pixel by, on average."""


def test_the_faces_of_traffic_are_those_that_the_renderer_draws() -> None:
    people = np.arange(4)
    fresh = render.draw(traffic_faces.SEED, people, np.zeros_like(people), traffic_faces.SIDE).images
    stored = traffic_faces.faces()[:4]
    assert np.abs(stored.astype(float) - np.asarray(fresh)).mean((1, 2, 3)).max() < LOSSY


def test_a_sheet_of_faces_comes_apart_as_it_was_put_together() -> None:
    shape = (traffic_faces.PEOPLE, traffic_faces.SIDE, traffic_faces.SIDE, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(traffic_faces.tiles(traffic_faces.sheet(images)), images)


def test_files_are_of_the_sizes_and_formats_of_the_mix_and_follow_the_seed() -> None:
    files = drawn(48, seed=1)
    sides = {decode(each, Limits()).shape[0] for each in files}
    assert sides == {side for side, _ in SIZES}
    assert len({each[:4] for each in files}) == 3
    assert len(set(files)) == 48
    assert files == drawn(48, seed=1) != drawn(48, seed=2)


def test_sending_traffic_loads_no_torch() -> None:
    code = "from identity_masker.serving import traffic_mix, traffic; traffic_mix.drawn(2, 0); import sys;"
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
