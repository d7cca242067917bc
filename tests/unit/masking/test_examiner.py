"""The examiner of a tiny evaluation: its graph computes what the attacker's code does, its scores mean something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.masking.small_faces import faces

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.masking.alignment import Frames, Images, Window, resized
from identity_masker.masking.attackers import KnownPeople, train_clear
from identity_masker.masking.calibration import CALIBRATION, GRAPH, read_calibration
from identity_masker.masking.encoder import Encoder, embed
from identity_masker.masking.evaluation import HEAD
from identity_masker.masking.evaluation_config import EncoderConfig, JudgeConfig
from identity_masker.masking.examination import Examiner
from identity_masker.masking.examiner import destroyed, make_examiner
from identity_masker.masking.examiner_graph import area_matrix
from identity_masker.masking.judge import Finder, Labels, find_landmarks, train_finder

ENCODER = EncoderConfig(widths=(16, 24, 32, 48), embedding=64, steps=250, batch=32)
WINDOW = Window(*HEAD, ENCODER.size)
KNOWN, JUDGED, TEST = faces(0, 40, 6), faces(500, 40, 7), faces(500, 16, 7)


@pytest.fixture(scope="module")
def finder() -> Finder:
    labels = Labels.of(KNOWN)
    assert labels is not None
    return train_finder(KNOWN.images, labels, JudgeConfig(widths=(8, 12, 16, 24), steps=120, batch=32), 2)


@pytest.fixture(scope="module")
def encoder(finder: Finder) -> Encoder:
    crops = Frames.of(find_landmarks(finder, KNOWN.images)).crop(KNOWN.images, WINDOW)
    return train_clear(KnownPeople.of(crops, KNOWN.identities), ENCODER, 1).encoder


@pytest.fixture(scope="module")
def folder(finder: Finder, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examiner")
    make_examiner(finder, encoder, WINDOW, KNOWN.images, JUDGED.images, JUDGED.identities, made, 1)
    return made


@pytest.fixture(scope="module")
def examiner(folder: Path) -> Examiner:
    return Examiner(folder)


def masked_by_blocks(images: Images) -> Images:
    return destroyed(images, np.random.default_rng(3))


def test_the_graph_sees_what_the_attacker_sees(examiner: Examiner, finder: Finder, encoder: Encoder) -> None:
    landmarks = find_landmarks(finder, TEST.images)
    embeddings = embed(encoder, Frames.of(landmarks).crop(TEST.images, WINDOW))
    seen = examiner.see(TEST.images)
    assert np.abs(seen.landmarks - landmarks).max() < 1e-4
    # A pixel that is rounded the other way moves an embedding a little.
    assert (seen.embedding * embeddings).sum(axis=1).min() > 0.999


def test_a_picture_that_was_not_masked_leaks_all(examiner: Examiner) -> None:
    found = examiner.examine(TEST.images, TEST.images)
    assert {(each.leak, each.outside) for each in found} <= {(1.0, 0.0), (1.0, None)}
    assert np.mean([each.face_found for each in found]) > 0.8


def test_unrelated_people_leak_little_and_the_same_person_more(examiner: Examiner) -> None:
    rows = np.arange(len(TEST.images))
    others, same = np.roll(rows, 7), np.roll(rows.reshape(-1, 7), 1, axis=1).ravel()
    unrelated, related = (
        np.mean([each.leak for each in examiner.examine(TEST.images, TEST.images[other])]) for other in (others, same)
    )
    assert unrelated < 0.15
    assert related > 3 * unrelated


def test_no_face_is_found_where_it_was_destroyed(examiner: Examiner) -> None:
    found = examiner.examine(TEST.images, masked_by_blocks(TEST.images))
    assert np.mean([each.face_found for each in found]) < 0.2


def test_the_share_outside_the_head_that_changed(examiner: Examiner) -> None:
    inverted = 255 - TEST.images
    outside = [each.outside for each in examiner.examine(TEST.images, inverted) if each.outside is not None]
    assert outside
    assert min(outside) > 0.5


def test_each_picture_is_examined_alone(examiner: Examiner) -> None:
    masked = masked_by_blocks(TEST.images)
    together = examiner.examine(TEST.images[:5], masked[:5])
    alone = [examiner.examine(TEST.images[n : n + 1], masked[n : n + 1])[0] for n in range(5)]
    # A cosine is rounded otherwise in a batch, by 1e-6; the calibration stretches it.
    assert [each.leak for each in alone] == pytest.approx([each.leak for each in together], abs=1e-4)


def test_without_landmarks_the_whole_picture_is_embedded(encoder: Encoder, tmp_path: Path) -> None:
    made = make_examiner(None, encoder, WINDOW, KNOWN.images, TEST.images, TEST.identities, tmp_path, 1)
    examiner = Examiner(tmp_path)
    assert not made.finds_landmarks
    embeddings = embed(encoder, resized(TEST.images, ENCODER.size))
    assert (examiner.see(TEST.images).embedding * embeddings).sum(axis=1).min() > 0.999
    assert {each.outside for each in examiner.examine(TEST.images, TEST.images)} == {None}


@pytest.mark.parametrize(("size", "target"), [(64, 32), (80, 48), (48, 32), (64, 64)])
def test_shrinking_takes_the_means_of_areas(size: int, target: int) -> None:
    matrix = area_matrix(size, target)
    picture = torch.rand(1, 1, size, size)
    expected = torch.nn.functional.interpolate(picture, size=(target, target), mode="area")
    assert torch.allclose(torch.from_numpy(matrix) @ picture @ torch.from_numpy(matrix).T, expected, atol=1e-6)


def test_networks_that_were_not_calibrated_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_bytes((folder / CALIBRATION).read_bytes())
    with pytest.raises(NotFoundError, match=GRAPH):
        read_calibration(tmp_path)
    (tmp_path / GRAPH).write_bytes((folder / GRAPH).read_bytes() + b"\0")
    with pytest.raises(BadInputError, match="not the ones that were calibrated"):
        Examiner(tmp_path)
    (tmp_path / CALIBRATION).write_text('{"size": 1}')
    with pytest.raises(BadInputError, match="does not validate"):
        read_calibration(tmp_path)


def test_the_name_follows_networks_and_calibration(folder: Path) -> None:
    calibration = read_calibration(folder)
    assert calibration.name == read_calibration(folder).name
    assert calibration.model_copy(update={"same": 0.9}).name != calibration.name
