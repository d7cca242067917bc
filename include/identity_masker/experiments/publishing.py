"""Write the report of an experiment where people find it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.experiments import archive
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evaluation import evaluate
from identity_masker.experiments.gather import gather
from identity_masker.experiments.report import html, pictures


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
