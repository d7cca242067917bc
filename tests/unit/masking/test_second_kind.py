"""A kind of masker that is no network goes through the same training, files, attackers and gate."""

from __future__ import annotations

from pathlib import Path

from tests.unit.masking.small_faces import TINY, faces

from identity_masker.masking import artifact
from identity_masker.masking.config import ModelConfig
from identity_masker.masking.evaluation import evaluate
from identity_masker.masking.gate import judge
from identity_masker.masking.trainers import train
from identity_masker.masking.training import Progress

MOSAIC = ModelConfig.model_validate({"architecture": {"name": "pixelation", "blocks": 16}})


def test_a_mosaic_is_trained_stored_attacked_and_rejected_for_what_it_leaks(tmp_path: Path) -> None:
    reported: list[Progress] = []
    trained = train(MOSAIC, faces(700, 8, 2), faces(800, 8, 2), tmp_path / "checkpoint.pt", reported.append)
    assert [progress.step for progress in reported] == [trained.steps] == [1]
    artifact.save(trained.masker, tmp_path / "masker")
    masker = artifact.load(tmp_path / "masker")

    evidence = evaluate(masker, faces(0, 40, 6), faces(500, 16, 7), TINY, lambda _stage: None)
    gate = MOSAIC.gate.model_copy(update={"min_people": 16, "min_rank1_clear": 0.2, "min_group_probes": 10})
    judgement = judge(evidence, gate)
    strong = evidence.strong()
    assert strong is not None
    assert evidence.unchanged == 0
    assert strong.result.rank1.value > 2 * evidence.chance
    assert judgement.verdict == "rejected"
    leaks = [reason for reason in judgement.reasons if reason.startswith("failed") and "AUC" in reason]
    assert leaks
