from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.masking.evidence_samples import attack, evidence

from identity_masker.masking.champion import Held, excess
from identity_masker.masking.evaluation_config import GateConfig, MarginConfig
from identity_masker.masking.evidence import Evaluation
from identity_masker.masking.gate import judge
from identity_masker.masking.groups import GroupFigures
from identity_masker.masking.utility import Kept, Utility

GATE = GateConfig(champion=MarginConfig())


def utility(pose: float) -> Utility:
    kept = Kept(clear=0.9, masked=pose, low=pose - 0.02, high=pose + 0.02)
    return Utility(groups={"pose": kept}, landmark_error=Kept(clear=0.07, masked=0.09))


def group(auc: float) -> GroupFigures:
    return GroupFigures(
        by="skin", name="darkest third", people=20, probes=300, figures={"auc": (auc, auc - 0.02, auc + 0.02)}
    )


def failures(candidate: Evaluation, champion: Evaluation | None) -> list[str]:
    return [reason for reason in judge(candidate, GATE, champion).reasons if reason.startswith("failed")]


def test_a_masker_is_not_worse_than_itself() -> None:
    found = evidence(utility=utility(0.85), groups=(group(0.52),))
    assert failures(found, found) == []


def test_without_a_champion_there_is_nothing_to_be_worse_than() -> None:
    assert any("no champion" in reason for reason in judge(evidence(), GATE, None).reasons)
    assert failures(evidence(), None) == []


def test_more_use_lost_than_the_margin_is_refused_though_every_floor_holds() -> None:
    (reason,) = failures(evidence(utility=utility(0.60)), evidence(utility=utility(0.85)))
    assert "pose R² lost: +0.250" in reason


def test_more_leak_in_one_group_is_refused_and_the_group_is_named() -> None:
    (reason,) = failures(evidence(groups=(group(0.68),)), evidence(groups=(group(0.51),)))
    assert "auc within skin: darkest third" in reason


def test_groups_of_few_probes_are_not_compared() -> None:
    few = group(0.74).model_copy(update={"probes": 20})
    assert failures(evidence(groups=(few,)), evidence(groups=(group(0.51),))) == []


def test_a_worse_attack_is_refused_though_every_floor_holds() -> None:
    kept = [one for one in evidence().attacks if one.gallery != "treated"]
    worse = evidence(attacks=[*kept, attack("strong", "masked", "treated", 0.04, 0.6)])
    assert [reason.split(":")[1].strip() for reason in failures(worse, evidence())] == [
        "strong attacker with a treated gallery", "strong attacker with a treated gallery",
    ]  # fmt: skip


intervals = st.tuples(*[st.floats(0, 1)] * 3).map(lambda three: Held(*(sorted(three)[i] for i in (1, 0, 2))))


@given(one=intervals, other=intervals)
def test_the_interval_of_a_difference_holds_it_and_turns_with_it(one: Held, other: Held) -> None:
    forth, back = excess(one, other), excess(other, one)
    assert forth.low <= forth.value <= forth.high
    assert forth.value == pytest.approx(-back.value)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.high - forth.value >= one.high - one.value - 1e-12
