"""The step `evaluate`: a trained run in, attacked and measured; the evidence is stored with the run."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from pydantic import BaseModel

from identity_masker.errors import BadInputError
from identity_masker.faces.snapshot import open_snapshot
from identity_masker.masking import artifact
from identity_masker.masking.config import ModelConfig
from identity_masker.masking.device import choose
from identity_masker.masking.evaluation import evaluate
from identity_masker.masking.evidence import Evaluation
from identity_masker.masking.report import before_after, html
from identity_masker.registry import run_files, runs
from identity_masker.registry.flavor import MASKER_FOLDER
from identity_masker.settings import settings
from identity_masker.telemetry import logs

log = logs.logger(__name__)


class EvaluateResult(BaseModel):
    """The figures that people look at first; everything is in the evidence at `evidence_uri`."""

    run_id: str
    people: int
    chance: float
    rank1_clear: float
    rank1_masked_naive: float
    rank1_masked_strong: float
    rank1_masked_strong_high: float
    auc_masked_strong: float
    power_ok: bool
    utility: dict[str, dict[str, float]] | None
    seconds: float
    evidence_uri: str
    report_uri: str


def evaluate_step(run_id: str) -> EvaluateResult:
    """Evaluate the masker of run `run_id`; an evaluation that is stored already is given back.

    Raises `NotFoundError` for an unknown run and `BadInputError` for one without a trained masker.
    """
    run = runs.get_run(run_id)
    if run.tags.get("stage") == "evaluated":
        log.info("evaluation_found", run_id=run_id)
        return _result(run, Evaluation.model_validate(run.read_document(run_files.EVIDENCE)))
    if run.tags.get("stage") != "trained":
        raise BadInputError(
            "the run has no trained masker", got=f"run {run_id}", fix="run `masker train` with its run key to the end"
        )
    workers = settings().threads or len(os.sched_getaffinity(0))
    # The networks are too small to gain from a second thread, and one thread makes the figures the same everywhere.
    torch.set_num_threads(1)
    config = ModelConfig.model_validate(run.read_document(run_files.CONFIG))
    snapshot = open_snapshot(run.tags["dataset"])
    test = snapshot.load("test", config.evaluation.size)
    with TemporaryDirectory(prefix="masker-evaluate-") as folder:
        files = run.fetch(f"{run_files.MODEL}/{MASKER_FOLDER}", Path(folder))
        masker = artifact.load(files, device=choose(config.evaluation.device))
        examiner = Path(folder) / Path(run_files.EXAMINER).name
        evidence = evaluate(
            masker, snapshot.load("attacker", config.evaluation.size), test, config.evaluation,
            lambda stage: log.info("evaluating", stage=stage), workers, examiner,
        )  # fmt: skip
        run.log_folder(examiner, run_files.EXAMINER)
        picture = before_after(masker, test)
    return _keep(run, evidence, picture)


def _keep(run: runs.Run, evidence: Evaluation, picture: bytes) -> EvaluateResult:
    """Log figures, report and picture, and only then say that the run is evaluated."""
    run.log_metrics(_metrics(evidence))
    with TemporaryDirectory(prefix="masker-report-") as folder:
        (Path(folder) / Path(run_files.PICTURE).name).write_bytes(picture)
        (Path(folder) / Path(run_files.REPORT).name).write_text(html(evidence, picture), encoding="utf-8")
        run.log_folder(Path(folder), str(Path(run_files.REPORT).parent))
    run.log_document(evidence.model_dump(mode="json"), run_files.EVIDENCE)
    return _result(run.set_tags({"stage": "evaluated"}), evidence)


def _metrics(evidence: Evaluation) -> dict[str, float]:
    figures = {
        f"attack.{attack.attacker}.{attack.pictures}.{attack.gallery}.{name}": getattr(attack.result, name).value
        for attack in evidence.attacks
        for name in ("rank1", "rank5", "auc", "eer")
    }
    if evidence.utility is not None:
        for name, kept in evidence.utility.groups.items():
            figures |= {f"utility.{name}.clear": kept.clear, f"utility.{name}.masked": kept.masked}
    return figures


def _result(run: runs.Run, evidence: Evaluation) -> EvaluateResult:
    clear, naive, strong = evidence.naive("clear"), evidence.naive("masked"), evidence.strong()
    if clear is None or naive is None or strong is None:
        raise BadInputError(
            "the stored evaluation lacks an attack", got=f"run {run.run_id}", fix="train and evaluate anew"
        )
    return EvaluateResult(
        run_id=run.run_id,
        people=evidence.people,
        chance=evidence.chance,
        rank1_clear=clear.result.rank1.value,
        rank1_masked_naive=naive.result.rank1.value,
        rank1_masked_strong=strong.result.rank1.value,
        rank1_masked_strong_high=strong.result.rank1.high,
        auc_masked_strong=strong.result.auc.value,
        power_ok=evidence.power_ok,
        utility=None if evidence.utility is None else {n: k.model_dump() for n, k in evidence.utility.groups.items()},
        seconds=evidence.seconds,
        evidence_uri=run.uri(run_files.EVIDENCE),
        report_uri=run.uri(run_files.REPORT),
    )
