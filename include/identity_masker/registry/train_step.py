"""The step `train`: a dataset version and a model configuration in, a run with a trained masker out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from pydantic import BaseModel, ConfigDict, Field

from identity_masker import artifacts
from identity_masker.errors import MaskerError
from identity_masker.faces.snapshot import Snapshot, open_snapshot
from identity_masker.masking import artifact, processes
from identity_masker.masking.config import ModelConfig, load_config
from identity_masker.masking.processes import Group
from identity_masker.masking.report import contact_sheet
from identity_masker.masking.trainers import train
from identity_masker.masking.training import Progress, TrainedMasker
from identity_masker.registry import flavor, models, parity, provenance, run_files, runs
from identity_masker.registry.checkpoint_file import CheckpointFile
from identity_masker.settings import settings
from identity_masker.telemetry import logs

CURVE_EVERY = 10
TRAIN, IDLE = "train", "idle"
"""What the leader tells the other processes of a training."""
log = logs.logger(__name__)


class TrainOptions(BaseModel):
    """What to train on what. `run_key` names the training: the same key continues it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dataset: str
    run_key: str = Field(min_length=1, max_length=400, pattern=r"^[^'`]+$")
    force: bool = Field(default=False, description="Train even when the registry has this very model.")


class TrainResult(BaseModel):
    """What came out. `reused`: an accepted version of the same data, configuration and code stood there already."""

    run_id: str
    model_uri: str
    model: str
    dataset: str
    steps: int
    seconds: float
    resumed_from: int
    supervision: str
    r_squared: dict[str, float]
    reused: bool = False


def train_step(options: TrainOptions, show: Callable[[Progress], None]) -> TrainResult | None:
    """Train, or give back what an earlier attempt with the same key has trained.

    Started by torchrun in several processes, their leader does what else there is to do; the others give back None.
    """
    config = load_config(options.model)
    with processes.group(config.training.device) as group:
        if group.leads:
            return _lead(options, config, show, group)
        _follow(options, config, group)
        return None


def _lead(options: TrainOptions, config: ModelConfig, show: Callable[[Progress], None], group: Group) -> TrainResult:
    snapshot = open_snapshot(options.dataset)
    content = _content_tags(config, snapshot)
    if not options.force and (found := _same_model(content)):
        group.agree(IDLE)
        log.info("model_reused", run_id=found.run_id, semver=found.semver)
        return TrainResult.model_validate(
            {**runs.get_run(found.run_id).read_document(run_files.TRAINING), "reused": True}
        )
    tags = {
        **content, "model": options.model, "dataset": snapshot.version,
        **provenance.step_tags(), **provenance.machine_tags(),
    }  # fmt: skip
    run = runs.open_run(options.run_key, f"{options.model} on {snapshot.version}", tags)
    if run.tags.get("stage") in ("trained", "evaluated"):
        group.agree(IDLE)
        log.info("training_found", run_id=run.run_id)
        return TrainResult.model_validate(run.read_document(run_files.TRAINING))
    try:
        return _train(run, options, config, snapshot, show, group)
    except MaskerError:
        run.end(failed=True)
        raise


def _follow(options: TrainOptions, config: ModelConfig, group: Group) -> None:
    """Train along with the leader, if it trains."""
    if group.agree(IDLE) == IDLE:
        return
    snapshot, size = open_snapshot(options.dataset), config.architecture.size
    faces, validation = snapshot.load("train", size), snapshot.load("validation", size)
    train(config, faces, validation, Path(os.devnull), lambda _progress: None, group)


def _content_tags(config: ModelConfig, snapshot: Snapshot) -> dict[str, str]:
    """All that the trained weights and their evaluation depend on."""
    return {
        "snapshot": snapshot.id,
        "config_sha256": provenance.config_sha256(config),
        "code_sha256": provenance.code_sha256(),
        "architecture": config.architecture.name,
        "interface": provenance.config_sha256(config.architecture)[:16],
    }


def _same_model(content: dict[str, str]) -> models.ModelVersion | None:
    """An accepted version with the same content."""
    return next(
        (v for v in models.versions() if v.verdict == "accepted" and content.items() <= dict(v.tags).items()), None
    )


def _train(
    run: runs.Run, options: TrainOptions, config: ModelConfig, snapshot: Snapshot, show: Callable[[Progress], None],
    group: Group,
) -> TrainResult:  # fmt: skip
    group.agree(TRAIN)
    cores = settings().threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, cores - 1))  # one draws the faces of the next step
    run.log_params(config.model_dump(mode="json"))
    run.log_document(config.model_dump(mode="json"), run_files.CONFIG)
    curves = runs.Curves(run)
    size = config.architecture.size
    with TemporaryDirectory(prefix="masker-train-") as folder:
        uri = artifacts.join(settings().store, "checkpoints", options.run_key, "checkpoint.pt")
        checkpoint = CheckpointFile(uri, Path(folder))

        def report(progress: Progress) -> None:
            checkpoint.publish()
            if progress.step % CURVE_EVERY == 0 or progress.step == progress.total:
                curves.add(
                    progress.step,
                    {**progress.losses, "lr": progress.learning_rate, "images_per_second": progress.images_per_second},
                )
            _log_judged(run, progress)
            show(progress)

        trained = train(
            config,
            snapshot.load("train", size),
            snapshot.load("validation", size),
            checkpoint.path,
            report,
            group,
        )
        curves.flush()
        result = _keep(run, options, snapshot, trained, Path(folder))
        checkpoint.remove()
    return result


def _log_judged(run: runs.Run, progress: Progress) -> None:
    """The validation, and faces before and after, as they come."""
    judged = progress.judged
    if judged.r_squared is not None:
        run.log_metrics({"validation.r2": judged.r_squared}, progress.step)
    if judged.samples is not None:
        with TemporaryDirectory(prefix="masker-samples-") as folder:
            (Path(folder) / f"step-{progress.step:06d}.png").write_bytes(contact_sheet(judged.samples))
            run.log_folder(Path(folder), run_files.SAMPLES)


def _keep(
    run: runs.Run, options: TrainOptions, snapshot: Snapshot, trained: TrainedMasker, folder: Path
) -> TrainResult:
    """Log the model and the result, and only then say that the run is trained."""
    masker_folder = folder / "masker"
    artifact.save(trained.masker, masker_folder)
    artifact.export(trained.masker, masker_folder)
    flavor.save(masker_folder, trained.masker.size, folder / run_files.MODEL)
    run.log_document(parity.check(trained.masker, folder / run_files.MODEL).model_dump(), run_files.PARITY)
    run.log_folder(folder / run_files.MODEL, run_files.MODEL)
    run.log_metrics({f"r2.{name}": value for name, value in trained.r_squared.items()}, trained.steps)
    result = TrainResult(
        run_id=run.run_id,
        model_uri=run.uri(run_files.MODEL),
        model=options.model,
        dataset=snapshot.version,
        steps=trained.steps,
        seconds=round(trained.seconds, 1),
        resumed_from=trained.resumed_from,
        supervision=trained.supervision,
        r_squared=trained.r_squared,
    )
    run.log_document(result.model_dump(mode="json"), run_files.TRAINING)
    run.set_tags(
        {
            "stage": "trained",
            "artifact_sha256": artifacts.sha256_folder(masker_folder),
            "code_commit": provenance.code_commit(),
        }
    )
    run.end()
    return result
