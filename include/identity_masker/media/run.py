"""A job from beginning to end in this process, and one chunk of it for a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from identity_masker.errors import ConflictError
from identity_masker.faces.detect import FaceDetector
from identity_masker.masking.strength import Weakened
from identity_masker.media.following import Advance, detect, track
from identity_masker.media.frames import mask_frames
from identity_masker.media.job import Job, Masked, open_job
from identity_masker.media.pictures import mask_pictures
from identity_masker.media.plan import Options, Plan
from identity_masker.media.report import Report, assemble
from identity_masker.serving.model import ServedModel

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Stage = Callable[[str, int], Advance]
"""Begins a stage of so many pictures or frames; what it gives is told of each that is done."""


def run(options: Options, served: ServedModel, stage: Stage) -> Report:
    """Mask the source of `options`. Called again after it was stopped, it goes on with the chunk that was not done."""
    detector = FaceDetector()
    job = open_job(options, served)
    plan = job.plan
    videos = [chunk for chunk in plan.chunks if chunk.video is not None]
    if videos:
        advance = stage("finding faces", sum(chunk.last - chunk.first for chunk in videos))
        for chunk in videos:
            detect(job, chunk.number, detector, advance)
        for number in range(len(plan.videos)):
            track(job, number)
    advance = stage("masking", sum(chunk.last - chunk.first for chunk in plan.chunks))
    for chunk in plan.chunks:
        mask(job, chunk.number, served, detector, advance)
    report = assemble(job)
    job.forget_parts()
    return report


def mask(job: Job, number: int, served: ServedModel, detector: FaceDetector, advance: Advance) -> Masked:
    """Mask chunk `number`, unless it is done.

    Raises `ConflictError` when `served` is not the masker that the job was begun with.
    """
    plan = job.plan
    if served.sha256 != plan.model_sha256:
        raise ConflictError(
            "the masker is not the one that the job was begun with", got=f"version {served.semver}",
            allowed=f"version {plan.model_version}", fix="begin a new job",
        )  # fmt: skip
    masker = _masker(served, plan)

    def make() -> Masked:
        chunk = job.chunk(number)
        if chunk.video is None:
            return mask_pictures(job, chunk, masker, detector, advance)
        return mask_frames(job, chunk, masker, advance)

    return job.once(f"masked/{number}.json", Masked, make)


def _masker(served: ServedModel, plan: Plan) -> Masker:
    strength = plan.options.strength
    return served.masker if strength == 1.0 else Weakened(served.masker, strength)
