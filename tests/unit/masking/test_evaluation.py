"""Evaluations whose outcome is known beforehand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.masking.small_faces import TINY, faces

from identity_masker.errors import BadInputError
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.background import MAX_PSNR
from identity_masker.masking.baselines import BlackBox, IdentityMap
from identity_masker.masking.evaluation import STAGES, evaluate
from identity_masker.masking.evaluation_config import GateConfig, InversionConfig
from identity_masker.masking.evidence import Evaluation
from identity_masker.masking.gate import judge

ALL = TINY.model_copy(
    update={"parrot": TINY.strong, "inversion": InversionConfig(widths=(8, 12, 16), steps=20, batch=32)}
)
"""Every attack there is."""
LENIENT = GateConfig(min_people=2, min_rank1_clear=0.0, min_pose_r2_ratio=None)


@pytest.fixture(scope="module")
def attacker() -> FaceSet:
    return faces(0, 40, 6)


@pytest.fixture(scope="module")
def test_people() -> FaceSet:
    return faces(500, 16, 7)


@pytest.fixture(scope="module")
def unmasked(attacker: FaceSet, test_people: FaceSet) -> Evaluation:
    return evaluate(IdentityMap(), attacker, test_people, ALL, lambda _stage: None)


@pytest.fixture(scope="module")
def blackened(attacker: FaceSet, test_people: FaceSet) -> Evaluation:
    return evaluate(BlackBox(), attacker, test_people, ALL, lambda _stage: None)


def test_the_identity_map_leaves_rank1_as_on_clear_pictures(unmasked: Evaluation) -> None:
    clear, masked = unmasked.naive("clear"), unmasked.naive("masked")
    assert clear is not None
    assert masked is not None
    assert clear.result == masked.result
    assert clear.result.rank1.value > 3 * unmasked.chance
    strong, power = unmasked.strong("masked"), unmasked.strong("clear")
    assert strong is not None
    assert power is not None
    assert strong.result.rank1.value >= power.result.rank1.value > 3 * unmasked.chance


def test_the_identity_map_is_caught(unmasked: Evaluation) -> None:
    assert unmasked.unchanged == unmasked.photographs
    assert unmasked.changed == 0.0
    found = judge(unmasked, LENIENT)
    assert found.verdict == "rejected"
    assert any("came back unchanged" in reason for reason in found.reasons)


def test_the_identity_map_keeps_all_use(unmasked: Evaluation) -> None:
    assert unmasked.utility is not None
    assert all(kept.clear == kept.masked for kept in unmasked.utility.groups.values())
    assert unmasked.background_psnr == MAX_PSNR


def test_the_black_box_leaves_exactly_chance(blackened: Evaluation) -> None:
    masked = [attack for attack in blackened.attacks if attack.pictures == "masked"]
    assert {attack.attacker for attack in masked} == {"naive", "strong", "parrot", "inversion", "linkage"}
    for attack in masked:
        assert attack.result.rank1.value == pytest.approx(blackened.chance) == pytest.approx(1 / 16)
        assert attack.result.auc.value == pytest.approx(0.5, abs=1e-6)


def test_many_pictures_under_one_key_give_the_identity_map_away_more_than_one(unmasked: Evaluation) -> None:
    found = {attack.attacker: attack.result.auc.value for attack in unmasked.against_masked()}
    assert found["linkage"] > 0.7
    assert found["parrot"] > 0.6


def test_every_group_is_measured(unmasked: Evaluation, blackened: Evaluation) -> None:
    assert {group.by for group in unmasked.groups} == {"skin", "hair", "light", "turn"}
    assert sum(group.probes for group in unmasked.groups if group.by == "skin") == 64
    assert all(group.figures["auc"] == pytest.approx((0.5, 0.5, 0.5)) for group in blackened.groups)


def test_likeness_and_flicker_are_those_of_what_was_done(unmasked: Evaluation, blackened: Evaluation) -> None:
    assert unmasked.ssim == pytest.approx(1.0)
    assert blackened.ssim is not None
    assert blackened.ssim < 0.3
    assert unmasked.flicker is not None
    assert unmasked.flicker.clear == unmasked.flicker.masked


def test_the_black_box_keeps_no_use(blackened: Evaluation) -> None:
    assert blackened.utility is not None
    assert all(kept.masked <= 0.0 for kept in blackened.utility.groups.values())
    assert blackened.background_psnr is not None
    assert blackened.background_psnr < 20
    assert blackened.unchanged == 0


def test_the_power_check_does_not_depend_on_the_masker(unmasked: Evaluation, blackened: Evaluation) -> None:
    assert unmasked.power == blackened.power
    assert unmasked.power_ok


def test_evidence_survives_storage(unmasked: Evaluation) -> None:
    assert Evaluation.model_validate_json(unmasked.model_dump_json()) == unmasked


def test_unlabelled_photographs_have_no_utility(attacker: FaceSet, test_people: FaceSet) -> None:
    stages: list[str] = []
    found = evaluate(
        BlackBox(),
        FaceSet(attacker.images, attacker.identities),
        FaceSet(test_people.images, test_people.identities),
        TINY.model_copy(update={"strong": TINY.strong.model_copy(update={"steps": 2})}),
        stages.append,
    )
    assert found.utility is None
    assert found.background_psnr is None
    assert stages == list(STAGES)


class Leaking(BlackBox):
    """Forgets to mask one picture of a call."""

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        masked = super().mask(images, keys)
        masked[0] = images[0]
        return masked


def test_a_single_unmasked_picture_is_enough_to_reject(
    blackened: Evaluation, attacker: FaceSet, test_people: FaceSet
) -> None:
    quick = TINY.model_copy(
        update={name: getattr(TINY, name).model_copy(update={"steps": 1}) for name in ("encoder", "strong", "judge")}
    )
    found = evaluate(Leaking(), attacker, test_people, quick, lambda _stage: None)
    assert found.unchanged == 1
    assert any("failed: 1 pictures" in reason for reason in judge(found, LENIENT).reasons)


def test_people_in_both_sets_are_refused(attacker: FaceSet, test_people: FaceSet) -> None:
    shared = dataclasses.replace(test_people, identities=np.char.replace(test_people.identities, "p500", "p3"))
    with pytest.raises(BadInputError, match="overlap"):
        evaluate(BlackBox(), attacker, shared, TINY, lambda _stage: None)


def test_pictures_of_another_size_are_refused(attacker: FaceSet, test_people: FaceSet) -> None:
    small = dataclasses.replace(test_people, images=test_people.images[:, ::2, ::2])
    with pytest.raises(BadInputError, match="wrong size"):
        evaluate(BlackBox(), attacker, small, TINY, lambda _stage: None)


def test_training_side_by_side_changes_no_figure(
    attacker: FaceSet, test_people: FaceSet, blackened: Evaluation
) -> None:
    again = evaluate(BlackBox(), attacker, test_people, ALL, lambda _stage: None, workers=3)
    assert again.model_copy(update={"seconds": blackened.seconds}) == blackened
