from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.masking.evidence_samples import attack, evidence

from identity_masker.masking.evaluation_config import GateConfig
from identity_masker.masking.evidence import Evaluation, Power
from identity_masker.masking.gate import judge
from identity_masker.masking.groups import GroupFigures
from identity_masker.masking.utility import Kept, Utility

GATE = GateConfig()


def with_strong(rank1: float, auc: float, gallery: str) -> Evaluation:
    """The sample with one of its two strong attacks replaced."""
    kept = [a for a in evidence().attacks if not (a.pictures == "masked" and a.gallery == gallery)]
    return evidence(attacks=[*kept, attack("strong", "masked", gallery, rank1, auc)])  # type: ignore[arg-type]


def failures(found: Evaluation, gate: GateConfig = GATE) -> list[str]:
    return [reason for reason in judge(found, gate).reasons if reason.startswith("failed: ")]


def test_a_masker_that_hides_and_keeps_is_accepted() -> None:
    found = judge(evidence(), GATE)
    assert found.verdict == "accepted"
    assert all(reason.startswith("ok: ") for reason in found.reasons)


@pytest.mark.parametrize("gallery", ["clear", "treated"])
@pytest.mark.parametrize(("rank1", "auc", "figure"), [(0.2, 0.5, "rank-1"), (0.016, 0.8, "AUC")])
def test_either_strong_attack_can_reject(gallery: str, rank1: float, auc: float, figure: str) -> None:
    (reason,) = failures(with_strong(rank1, auc, gallery))
    assert gallery in reason
    assert figure in reason


def test_the_upper_end_of_the_interval_decides() -> None:
    limit = GATE.max_rank1_strong_over_chance / 64
    assert not failures(with_strong(limit - 0.011, 0.5, "clear"))
    assert failures(with_strong(limit - 0.009, 0.5, "clear"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"power": None}, "not checked"),
        ({"utility": None}, "pose was not measured"),
        ({"people": 8}, "8 test people"),
        ({"unchanged": 1}, "1 pictures came back unchanged"),
        (
            {"power": Power(rank1_pixelated=0.1, rank1_identity=0.9, min_rank1_pixelated=0.5, min_rank1_identity=0.8)},
            "on pixelated pictures 0.100",
        ),
        (
            {"power": Power(rank1_pixelated=0.9, rank1_identity=0.1, min_rank1_pixelated=0.5, min_rank1_identity=0.8)},
            "on clear pictures 0.100",
        ),
        (
            {"utility": Utility(groups={"pose": Kept(clear=0.9, masked=0.3)}, landmark_error=Kept(clear=0, masked=0))},
            "pose R² as a share of clear 0.333",
        ),
        (
            {
                "utility": Utility(
                    groups={"pose": Kept(clear=-0.1, masked=-0.1)}, landmark_error=Kept(clear=0, masked=0)
                )
            },
            "was not measured",
        ),
    ],
)
def test_each_shortcoming_rejects_with_its_reason(changes: dict[str, object], words: str) -> None:
    (reason,) = failures(evidence(**changes))
    assert words in reason


@pytest.mark.parametrize("attacker", ["naive", "strong"])
def test_a_missing_attack_rejects(attacker: str) -> None:
    left = [a for a in evidence().attacks if a.attacker != attacker]
    assert judge(evidence(attacks=left), GATE).verdict == "rejected"


def test_an_expression_that_is_lost_rejects_unless_the_judge_cannot_read_it() -> None:
    def found(clear: float) -> Evaluation:
        groups = {"pose": Kept(clear=0.9, masked=0.9), "smile": Kept(clear=clear, masked=0.1 * clear)}
        return evidence(utility=Utility(groups=groups, landmark_error=Kept(clear=0.07, masked=0.09)))

    (reason,) = failures(found(0.6))
    assert "smile R² as a share of clear 0.100" in reason
    assert failures(found(0.1)) == []


def test_landmarks_that_move_too_far_reject() -> None:
    moved = Utility(groups={"pose": Kept(clear=0.9, masked=0.9)}, landmark_error=Kept(clear=0.07, masked=0.15))
    (reason,) = failures(evidence(utility=moved))
    assert "landmark error 0.150, at most 0.140" in reason


@pytest.mark.parametrize(("attacker", "counted"), [("parrot", 2), ("inversion", 2), ("linkage", 1)])
def test_every_attacker_that_was_asked_can_reject(attacker: str, counted: int) -> None:
    found = evidence(attacks=[*evidence().attacks, attack(attacker, "masked", "clear", 0.3, 0.9)])
    assert len(failures(found)) == counted


@pytest.mark.parametrize(("probes", "verdict"), [(200, "rejected"), (99, "accepted")])
def test_a_group_that_is_found_rejects_when_it_is_large_enough(probes: int, verdict: str) -> None:
    found = GroupFigures(by="light", name="dimmest third", people=20, probes=probes, figures={"auc": (0.7, 0.6, 0.8)})
    assert judge(evidence(groups=(found,)), GATE).verdict == verdict


def test_utility_that_is_not_asked_for_may_be_missing() -> None:
    gate = GateConfig(min_pose_r2_ratio=None)
    assert judge(evidence(utility=None), gate).verdict == "accepted"


def test_background_is_judged_when_asked_for() -> None:
    gate = GateConfig(min_background_psnr=35.0)
    assert judge(evidence(), gate).verdict == "accepted"
    assert failures(evidence(background_psnr=20.0), gate)
    assert failures(evidence(background_psnr=None), gate)


@given(st.floats(0, 1), st.floats(0.5, 1), st.sampled_from(["clear", "treated"]))
def test_a_judgement_can_be_replayed_from_the_files(rank1: float, auc: float, gallery: str) -> None:
    found = with_strong(rank1, auc, gallery)
    stored = Evaluation.model_validate(json.loads(found.model_dump_json()))
    gate = GateConfig.model_validate(json.loads(GATE.model_dump_json()))
    assert judge(stored, gate) == judge(found, GATE)


@given(st.floats(0, 0.9), st.floats(0, 0.1))
def test_more_success_of_the_attacker_never_helps(rank1: float, more: float) -> None:
    if judge(with_strong(rank1, 0.5, "clear"), GATE).verdict == "rejected":
        assert judge(with_strong(rank1 + more, 0.5, "clear"), GATE).verdict == "rejected"
