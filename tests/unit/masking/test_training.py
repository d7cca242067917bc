from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tests.unit.masking.maskers import faces, plan

from identity_masker.errors import BadInputError, ConflictError
from identity_masker.masking.config import MaskerConfig
from identity_masker.masking.masker import FactorBottleneckMasker
from identity_masker.masking.training import Progress, TrainedMasker, train
from identity_masker.masking.training_state import Lessons, one_cycle

TRAIN, VALIDATION = faces(20), faces(6, seed=4)


class InterruptedError(Exception):
    """Stands for the end of the process."""


def run(config: MaskerConfig, checkpoint: Path, stop_at: int | None = None) -> tuple[TrainedMasker, list[Progress]]:
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        if progress.step == stop_at:
            raise InterruptedError

    return train(config, TRAIN, VALIDATION, checkpoint, report), seen


def weights(masker: FactorBottleneckMasker) -> dict[str, torch.Tensor]:
    return dict(masker.network.state_dict())


def same(ours: FactorBottleneckMasker, theirs: FactorBottleneckMasker) -> bool:
    return all(torch.equal(tensor, weights(theirs)[name]) for name, tensor in weights(ours).items())


def test_a_training_that_was_interrupted_ends_with_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    config = plan(steps=20, checkpoint_steps=10)
    through, _ = run(config, tmp_path / "through.pt")
    with pytest.raises(InterruptedError):
        run(config, tmp_path / "resumed.pt", stop_at=13)
    resumed, seen = run(config, tmp_path / "resumed.pt")
    assert resumed.resumed_from == 10
    assert [progress.step for progress in seen] == list(range(11, 21))
    assert same(through.masker, resumed.masker)


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first, _ = run(plan(), tmp_path / "c.pt")
    again, seen = run(plan(), tmp_path / "c.pt")
    assert seen == []
    assert again.resumed_from == again.steps == 8
    assert same(first.masker, again.masker)


def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    one, _ = run(plan(seed=1), tmp_path / "1.pt")
    two, _ = run(plan(seed=2), tmp_path / "2.pt")
    assert not same(one.masker, two.masker)


def test_progress_is_reported_for_every_step(tmp_path: Path) -> None:
    trained, seen = run(plan(), tmp_path / "c.pt")
    assert [progress.step for progress in seen] == list(range(1, 9))
    assert all(progress.total == 8 and progress.images_per_second > 0 for progress in seen)
    assert all(math.isfinite(loss) for progress in seen for loss in progress.losses.values())
    assert trained.supervision == "dataset+rendered"
    assert set(trained.r_squared) >= {"yaw", "smile", "gaze_x"}


def test_training_learns_where_heads_are(tmp_path: Path) -> None:
    config = plan(steps=120, batch=16, learning_rate=1e-2, average=0.9, checkpoint_steps=1000)
    trained, seen = run(config, tmp_path / "c.pt")
    early = sum(progress.losses["total"] for progress in seen[:10])
    late = sum(progress.losses["total"] for progress in seen[-10:])
    assert late < 0.8 * early
    assert trained.r_squared["shift_x"] > 0.2


def test_photographs_without_labels_are_replaced_by_rendered_faces(tmp_path: Path) -> None:
    nobody = faces(8, labelled=False)
    trained = train(plan(steps=2), nobody, nobody, tmp_path / "c.pt", lambda progress: None)
    assert trained.supervision == "rendered"
    assert trained.r_squared


def test_training_on_the_dataset_alone_draws_nothing(tmp_path: Path) -> None:
    trained, _ = run(plan(steps=2, rendered_share=0.0), tmp_path / "c.pt")
    assert trained.supervision == "dataset"


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    run(plan(), tmp_path / "c.pt")
    with pytest.raises(ConflictError, match="another configuration or dataset"):
        run(plan(learning_rate=1e-4), tmp_path / "c.pt")
    with pytest.raises(ConflictError):
        train(plan(), VALIDATION, TRAIN, tmp_path / "c.pt", lambda progress: None)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 not a zip"])
def test_a_damaged_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(BadInputError, match="cannot be read"):
        run(plan(), tmp_path / "c.pt")


def test_a_training_that_diverges_stops_and_says_what_to_change(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="learning_rate"):
        run(plan(steps=60, learning_rate=1e30, warmup=0.0), tmp_path / "c.pt")


def test_faces_of_another_size_are_refused(tmp_path: Path) -> None:
    wrong = TRAIN.take(torch.arange(4).numpy())
    wrong = type(wrong)(wrong.images[:, :32, :32], wrong.identities, wrong.factors)
    with pytest.raises(BadInputError, match="size"):
        train(plan(), wrong, VALIDATION, tmp_path / "c.pt", lambda progress: None)


def test_a_step_that_does_not_fit_is_done_in_halves_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fits, whole = 3, Lessons.forward

    def cramped(self: Lessons, pictures: torch.Tensor, *rest: torch.Tensor) -> dict[str, torch.Tensor]:
        if len(pictures) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(self, pictures, *rest)

    monkeypatch.setattr(Lessons, "forward", cramped)
    trained, seen = run(plan(steps=3), tmp_path / "c.pt")
    assert trained.steps == 3
    assert all(math.isfinite(progress.losses["total"]) for progress in seen)
    assert caplog.text.count("out of GPU memory") == 2
    assert torch.load(tmp_path / "c.pt", weights_only=True)["parts"] == 4


def test_a_batch_in_parts_weighs_every_picture_alike(tmp_path: Path) -> None:
    _, whole = run(plan(steps=1, batch=8), tmp_path / "whole.pt")
    _, parts = run(plan(steps=1, batch=8, accumulate=2), tmp_path / "parts.pt")
    # Batch normalisation sees other batches, so the losses are near and not equal.
    assert parts[0].losses["total"] == pytest.approx(whole[0].losses["total"], rel=0.2)


def test_bf16_trains_what_fp32_trains(tmp_path: Path) -> None:
    _, exact = run(plan(steps=3), tmp_path / "exact.pt")
    _, rough = run(plan(steps=3, precision="bf16"), tmp_path / "rough.pt")
    assert rough[-1].losses != exact[-1].losses
    assert rough[-1].losses["total"] == pytest.approx(exact[-1].losses["total"], rel=0.1)


def test_a_training_that_gets_no_better_ends_early_and_stays_ended(tmp_path: Path) -> None:
    config = plan(steps=40, validate_steps=4, patience=2, learning_rate=1e-9, average=0.0)
    trained, seen = run(config, tmp_path / "c.pt")
    judged = [progress.judged.r_squared for progress in seen if progress.judged.r_squared is not None]
    assert trained.steps < 40
    assert max(judged[:-2]) >= max(judged[-2:])
    again, more = run(config, tmp_path / "c.pt")
    assert more == []
    assert same(trained.masker, again.masker)


def test_validation_comes_with_faces_before_and_after(tmp_path: Path) -> None:
    _, seen = run(plan(steps=5, validate_steps=2), tmp_path / "c.pt")
    assert [progress.step for progress in seen if progress.judged.samples is not None] == [2, 4, 5]
    samples = seen[-1].judged.samples
    assert samples is not None
    assert samples.shape == (2, 6, 64, 64, 3)
    assert (samples[0] == VALIDATION.images).all()


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    rates = [one_cycle(share / 100, 0.2) for share in range(101)]
    assert max(rates) == rates[20] == 1
    assert rates == sorted(rates[:20]) + sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0)
