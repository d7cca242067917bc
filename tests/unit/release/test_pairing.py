"""Two maskers on the same pictures, with a real examiner."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.masking.small_faces import faces
from tests.unit.serving.examiners import small_examiner

from identity_masker.masking.baselines import BlackBox, IdentityMap
from identity_masker.masking.examination import Examiner
from identity_masker.release.judge import judge
from identity_masker.release.pairing import METRICS, paired
from identity_masker.release.policy import Policy, parse_policy

FACES = faces(900, 30, 5).images
KEYS = [f"k{row}" for row in range(len(FACES))]


class Failing(BlackBox):
    """Cannot mask the pictures of every tenth key."""

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        if any(key.endswith("7") for key in keys):
            raise ValueError("seven")
        return super().mask(images, keys)


@pytest.fixture(scope="module")
def examiner(tmp_path_factory: pytest.TempPathFactory) -> Examiner:
    folder = tmp_path_factory.mktemp("examiner")
    small_examiner(folder)
    return Examiner(folder)


def policy(**replay: object) -> Policy:
    metrics = {"leak": {"margin": 1.5}}
    return parse_policy(
        {
            "strategy": "shadow", "shadow": {}, "metrics": {"errors": {"kind": "share", "margin": 2.0}},
            "replay": {"pairs": 150, "minimum_pairs": 50, "metrics": metrics, **replay},
        }
    )  # fmt: skip


def test_a_masker_that_changes_nothing_is_refused(examiner: Examiner) -> None:
    evidence = paired(BlackBox(), IdentityMap(), FACES, KEYS, examiner)
    assert set(evidence.pairs) == set(METRICS)
    leak = evidence.pairs["leak"]
    assert leak.candidate == (1.0,) * len(FACES)
    assert max(value for value in leak.champion if value is not None) < 1.0
    only = evidence.model_copy(update={"pairs": {"leak": leak}})
    assert judge(policy(), only).verdict == "roll_back"


def test_the_same_masker_twice_is_never_refused(examiner: Examiner) -> None:
    evidence = paired(IdentityMap(), IdentityMap(), FACES, KEYS, examiner)
    for pairs in evidence.pairs.values():
        assert pairs.champion == pairs.candidate
    only = evidence.model_copy(update={"pairs": {"leak": evidence.pairs["leak"]}})
    assert judge(policy(), only).verdict != "roll_back"


def test_a_picture_that_fails_fails_alone(examiner: Examiner) -> None:
    leak = paired(BlackBox(), Failing(), FACES, KEYS, examiner).pairs["leak"]
    failed = [row for row, value in enumerate(leak.candidate) if value is None]
    assert failed == [row for row, key in enumerate(KEYS) if key.endswith("7")]
    assert None not in leak.champion


def test_what_no_picture_allows_has_no_pairs(examiner: Examiner, monkeypatch: pytest.MonkeyPatch) -> None:
    unsure = examiner.calibration.model_copy(update={"finds_landmarks": False})
    monkeypatch.setattr(examiner, "calibration", unsure)
    evidence = paired(BlackBox(), IdentityMap(), FACES[:4], KEYS[:4], examiner)
    assert set(evidence.pairs) == {"leak", "face_missed"}
    assert all(math.isfinite(value) for value in evidence.pairs["face_missed"].champion if value is not None)
