from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.masking.small_faces import faces

from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.evaluation_config import JudgeConfig
from identity_masker.masking.judge import Judge, Labels, find_landmarks, read, train_finder, train_judge
from identity_masker.masking.utility import GROUPS, group_r2, landmark_error

CONFIG = JudgeConfig(widths=(12, 16, 24, 32), steps=200, batch=32)


@pytest.fixture(scope="module")
def known() -> FaceSet:
    return faces(0, 100, 3)


@pytest.fixture(scope="module")
def unseen() -> FaceSet:
    return faces(500, 20, 5)


def trained(images: NDArray[np.uint8], labels: Labels, config: JudgeConfig, seed: int) -> Judge:
    return train_judge(train_finder(images, labels, config, seed), images, labels, config, seed)


@pytest.fixture(scope="module")
def judge(known: FaceSet) -> Judge:
    labels = Labels.of(known)
    assert labels is not None
    return trained(known.images, labels, CONFIG, seed=1)


def test_it_reads_the_pose_and_landmarks_of_people_it_has_not_seen(judge: Judge, unseen: FaceSet) -> None:
    assert unseen.factors is not None
    assert unseen.landmarks is not None
    found = read(judge, unseen.images)
    assert group_r2(found.factors, unseen.factors, GROUPS["pose"]) > 0.2
    middle = np.broadcast_to(unseen.landmarks.mean(axis=0), unseen.landmarks.shape)
    assert landmark_error(found.landmarks, unseen.landmarks) < 0.75 * landmark_error(middle, unseen.landmarks)


def test_a_black_picture_tells_it_nothing(judge: Judge, unseen: FaceSet) -> None:
    assert unseen.factors is not None
    found = read(judge, np.zeros_like(unseen.images))
    assert all(group_r2(found.factors, unseen.factors, members) <= 0.0 for members in GROUPS.values())


def test_landmarks_alone_are_the_same_landmarks(judge: Judge, unseen: FaceSet) -> None:
    assert np.array_equal(find_landmarks(judge.finder, unseen.images), read(judge, unseen.images).landmarks)


def test_the_same_seed_trains_the_same_judge(known: FaceSet, unseen: FaceSet) -> None:
    labels = Labels.of(known)
    assert labels is not None
    short = CONFIG.model_copy(update={"steps": 4})
    first, second = (trained(known.images, labels, short, seed=3) for _ in range(2))
    assert np.array_equal(read(first, unseen.images).factors, read(second, unseen.images).factors)


@pytest.mark.parametrize("lacking", ["factors", "landmarks", "one label"])
def test_faces_with_missing_labels_have_none(lacking: str, unseen: FaceSet) -> None:
    factors, landmarks = unseen.factors, unseen.landmarks
    assert factors is not None
    if lacking == "one label":
        factors = factors.copy()
        factors[3, 2] = np.nan
    without = FaceSet(
        unseen.images,
        unseen.identities,
        None if lacking == "factors" else factors,
        None if lacking == "landmarks" else landmarks,
    )
    assert Labels.of(without) is None
