"""Evidence made up for tests of what is concluded from it."""

from __future__ import annotations

from typing import Any

from identity_masker.masking.evaluation_config import EvaluationConfig
from identity_masker.masking.evidence import Attack, Evaluation, Gallery, Pictures, Power
from identity_masker.masking.utility import Kept, Utility
from identity_masker.masking.verification import Estimate, Verification


def result(rank1: float, auc: float, width: float = 0.01) -> Verification:
    def around(value: float) -> Estimate:
        return Estimate(value=value, low=max(0.0, value - width), high=min(1.0, value + width))

    return Verification(
        people=64, probes=896, chance=1 / 64, rank1=around(rank1), rank5=around(min(1.0, 3 * rank1)), auc=around(auc),
        eer=around(1 - auc), tar_at_far_1e2=around(rank1), tar_at_far_1e3=None,
    )  # fmt: skip


def attack(attacker: Any, pictures: Pictures, gallery: Gallery, rank1: float, auc: float) -> Attack:
    return Attack(attacker=attacker, pictures=pictures, gallery=gallery, result=result(rank1, auc))


def evidence(**changes: Any) -> Evaluation:
    """A masker that hides people and keeps pose, unless `changes` say otherwise."""
    fields: dict[str, Any] = {
        "architecture": "sample",
        "photographs": 1088,
        "people": 64,
        "chance": 1 / 64,
        "attacks": [
            attack("naive", "clear", "clear", 0.92, 0.99),
            attack("naive", "masked", "clear", 0.02, 0.5),
            attack("strong", "masked", "clear", 0.018, 0.51),
            attack("strong", "masked", "treated", 0.02, 0.52),
            attack("strong", "pixelated", "clear", 0.7, 0.97),
            attack("strong", "clear", "clear", 0.93, 0.99),
        ],
        "power": Power(rank1_pixelated=0.7, rank1_identity=0.93, min_rank1_pixelated=0.5, min_rank1_identity=0.8),
        "utility": Utility(groups={"pose": Kept(clear=0.9, masked=0.85)}, landmark_error=Kept(clear=0.07, masked=0.1)),
        "background_psnr": 40.0,
        "unchanged": 0,
        "changed": 0.3,
        "seconds": 90.0,
        "config": EvaluationConfig(),
    }
    return Evaluation.model_validate({**fields, **changes})
