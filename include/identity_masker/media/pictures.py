"""The step `mask` for a chunk of pictures: each alone, so that a bad one keeps no good one from being done."""

from __future__ import annotations

from pathlib import PurePosixPath

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.faces.decode import decode
from identity_masker.faces.detect import Face, FaceDetector
from identity_masker.faces.formats import READABLE, format_of
from identity_masker.masking.masker import Masker
from identity_masker.media import faces
from identity_masker.media.crops import Square
from identity_masker.media.following import Advance
from identity_masker.media.job import Counts, Doubt, Job, Masked
from identity_masker.media.plan import LIMITS, Chunk, Plan, Skipped
from identity_masker.media.source import picture_reader
from identity_masker.serving.pictures import encode

UNSURE = 0.35
"""Findings below this score are masked too, and named among the doubts."""


def mask_pictures(job: Job, chunk: Chunk, masker: Masker, detector: FaceDetector, advance: Advance) -> Masked:
    """Mask the pictures of `chunk`. Those that cannot be read are listed, with the reason."""
    plan = job.plan
    done = Masked(counts=Counts(), written=[], skipped=[], doubts=[])
    with picture_reader(plan) as read:
        for name in plan.pictures[chunk.first : chunk.last]:
            try:
                _mask(job, plan, name, read(name), masker, detector, done)
            except BadInputError as error:
                done.skipped.append(Skipped(name=name, reason=str(error)))
            advance(1)
    return done


def _mask(
    job: Job, plan: Plan, name: str, content: bytes, masker: Masker, detector: FaceDetector, done: Masked
) -> None:
    picture = decode(content, LIMITS).copy()
    found = faces.find(picture, detector)
    done.counts = done.counts.plus(Counts(pictures=1, faces=len(found), without_face=not found))
    if not found and plan.options.faceless == "leave out":
        done.skipped.append(Skipped(name=name, reason="no face was found"))
        return
    places = [faces.Place(0, Square.around(face), f"{plan.key}/{name}/{row}") for row, face in enumerate(found)]
    covered = faces.mask_places([picture], places, masker)
    done.doubts += _doubts(name, found, covered)
    target = artifacts.join(plan.destination, name) if plan.kind == "folder" else job.part(name)
    artifacts.write_bytes(target, encode(picture, _format(name, content)))
    done.written.append(name)


def _doubts(name: str, found: list[Face], covered: list[int]) -> list[Doubt]:
    doubts = []
    if not found:
        doubts.append(Doubt(name=name, reason="no face was found, and the picture was copied"))
    if any(face.score < UNSURE for face in found):
        doubts.append(Doubt(name=name, reason="something that may not be a face was masked"))
    if covered:
        doubts.append(Doubt(name=name, reason="a face that could not be masked was covered"))
    return doubts


def _format(name: str, content: bytes) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    named = next((form for form, extensions in READABLE.items() if suffix in extensions), None)
    return named or format_of(content) or "PNG"
