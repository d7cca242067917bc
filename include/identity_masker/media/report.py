"""The last step of a job: its parts put together, and the account of what was done."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from pydantic import BaseModel

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.media import archive
from identity_masker.media.frames import join
from identity_masker.media.job import Counts, Doubt, Job
from identity_masker.media.plan import Plan, Skipped

SHOWN = 20
"""Of the doubts and of what was skipped, so many are in the result; the report in the store has all."""


class Report(BaseModel):
    """What became of a job; kept in the store as `report_uri`."""

    source: str
    destination: str
    model_version: str
    strength: float
    counts: Counts
    people: int
    written: int
    skipped_count: int
    skipped: list[Skipped]
    doubts_count: int
    doubts: list[Doubt]
    report_uri: str

    def short(self) -> Report:
        """With the first of what was skipped and doubted only."""
        return self.model_copy(update={"skipped": self.skipped[:SHOWN], "doubts": self.doubts[:SHOWN]})


def assemble(job: Job) -> Report:
    """Write what has to be put together, and the report. All chunks went through `mask`.

    Raises `NotFoundError` where one did not.
    """
    return job.once("report.json", Report, lambda: _assemble(job))


def _assemble(job: Job) -> Report:
    plan = job.plan
    parts = [job.masked(chunk.number) for chunk in plan.chunks]
    written = [name for part in parts for name in part.written]
    skipped = [*plan.skipped, *(skip for part in parts for skip in part.skipped)]
    doubts = [doubt for part in parts for doubt in part.doubts]
    doubts += [Doubt(name=v.name, reason=v.facts.broken) for v in plan.videos if v.facts.broken]
    if plan.kind == "archive":
        _pack(job, plan, written)
    for number, found in enumerate(plan.videos):
        try:
            missing = _publish(job, plan, number)
            written.append(found.name)
            doubts += [Doubt(name=found.name, reason=missing)] if missing is not None else []
        except BadInputError as error:
            skipped.append(Skipped(name=found.name, reason=str(error)))
    counts = Counts()
    for part in parts:
        counts = counts.plus(part.counts)
    return Report(
        source=plan.options.source, destination=plan.destination, model_version=plan.model_version,
        strength=plan.options.strength, counts=counts,
        people=sum(job.people(number).tracks for number in range(len(plan.videos))),
        written=len(written), skipped_count=len(skipped), skipped=skipped, doubts_count=len(doubts), doubts=doubts,
        report_uri=artifacts.join(job.uri, "report.json"),
    )  # fmt: skip


def _publish(job: Job, plan: Plan, number: int) -> str | None:
    target = plan.target_of(plan.videos[number].name)
    with TemporaryDirectory(prefix="masker-media-") as folder:
        made = Path(folder) / f"joined{PurePosixPath(target).suffix}"
        missing = join(job, plan, number, made)
        artifacts.put_file(target, made)
    return missing


def _pack(job: Job, plan: Plan, names: list[str]) -> None:
    with TemporaryDirectory(prefix="masker-media-") as folder:
        for name in names:
            path = Path(folder) / "content" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            artifacts.get_file(job.part(name), path)
        made = Path(folder) / PurePosixPath(plan.destination).name
        archive.pack(Path(folder) / "content", names, made)
        artifacts.put_file(plan.destination, made)
