"""Write the report of an experiment where people find it: a file, or MLflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.experiments import archive
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evaluation import evaluate
from identity_masker.experiments.gather import gather
from identity_masker.experiments.report import html, pictures
from identity_masker.experiments.result import Report

MLFLOW_EXPERIMENT = "identity-masker-experiments"


class Published(BaseModel):
    """Where the report is, and its verdict."""

    experiment: str
    report: str
    bytes: int
    pictures: list[str]
    decision: str
    sentence: str


def publish(
    experiment: Experiment, exposures: str | None, outcomes: str | None, output: Path, folder: Path | None
) -> Published:
    """Write the page to `output` and, if asked for, its figures as PNG into `folder`.

    From the files when both are given, else from the evidence that was stored last.
    """
    if (exposures is None) != (outcomes is None):
        raise BadInputError("exposures and outcomes belong together", fix="pass both, or neither")
    evidence = gather(experiment, exposures, outcomes) if exposures and outcomes else archive.load(experiment.name)
    report = evaluate(experiment, evidence)
    page = html(experiment, report).encode()
    artifacts.write_bytes(str(output.absolute()), page)
    drawn = pictures(experiment, report) if folder else {}
    for name, content in drawn.items():
        artifacts.write_bytes(str((folder or Path()).absolute() / name), content)
    return Published(
        experiment=experiment.name,
        report=str(output),
        bytes=len(page),
        pictures=sorted(drawn),
        decision=report.decision,
        sentence=report.decision_details.sentence,
    )


def to_mlflow(report: Report, page: bytes, drawn: Mapping[str, bytes]) -> str:
    """Log the page and its figures to the experiment's run in MLflow, and effects by day; returns the run's id.

    One run an experiment. Raises `TemporaryError` when MLflow does not answer.
    """
    from identity_masker.registry import runs

    run = runs.open_run(
        f"experiment/{report.experiment}", report.experiment, {"kind": "experiment"}, experiment=MLFLOW_EXPERIMENT
    )
    with TemporaryDirectory() as folder:
        for name, content in {"report.html": page, **drawn}.items():
            (Path(folder) / name).write_bytes(content)
        run.log_folder(Path(folder), re.sub(r"[^0-9A-Za-z]", "-", (report.as_of or "untimed")[:16]))
    effects = {f"{each.name}.{each.variant}": each.estimate for each in report.metrics if each.estimate is not None}
    run.log_metrics({**effects, "sample_ratio_e_value": report.health.sample_ratio.e_value}, step=report.day)
    run.set_tags(
        {"decision": report.decision, "as_of": report.as_of or "", "sentence": report.decision_details.sentence}
    )
    run.end()
    return run.run_id
