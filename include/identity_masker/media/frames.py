"""The step `mask` for a chunk of a video: its frames, masked where the tracks are, as one segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.masking.masker import Masker
from identity_masker.media import faces, video, video_writing
from identity_masker.media.following import Advance
from identity_masker.media.job import Counts, Detections, Doubt, Job, Masked
from identity_masker.media.pictures import UNSURE
from identity_masker.media.plan import Chunk, Plan
from identity_masker.media.source import video_file
from identity_masker.media.tracks import Region

BATCH = 16
"""Frames that are masked together."""


def mask_frames(job: Job, chunk: Chunk, masker: Masker, advance: Advance) -> Masked:
    """Mask the frames of `chunk` and store them as its segment."""
    plan = job.plan
    assert chunk.video is not None  # noqa: S101 - of a video
    regions = job.people(chunk.video).frames[chunk.first : chunk.last]
    with TemporaryDirectory(prefix="masker-media-") as folder, video_file(plan, chunk) as path:
        segment = Path(folder) / f"{chunk.number}.{video_writing.SEGMENT}"
        covered = _write(plan, chunk, path, segment, regions, masker, advance)
        if segment.exists():
            artifacts.put_file(job.segment(chunk.number), segment)
    found = job.detections(chunk.number)
    name = plan.videos[chunk.video].name
    return Masked(
        counts=Counts(
            frames=sum(boxes is not None for boxes in found.frames),
            faces=sum(len(here) for here, boxes in zip(regions, found.frames, strict=True) if boxes is not None),
            without_face=sum(not here for here, boxes in zip(regions, found.frames, strict=True) if boxes is not None),
        ),
        written=[],
        skipped=[],
        doubts=list(_doubts(name, chunk.first, regions, found, covered)),
    )


def _write(
    plan: Plan, chunk: Chunk, path: Path, segment: Path, regions: Sequence[list[Region]], masker: Masker,
    advance: Advance,
) -> set[int]:  # fmt: skip
    """Write the segment; the frames (of the chunk) in which a face was covered, since it could not be masked."""
    times = plan.times(chunk)
    position = {time: at for at, time in enumerate(times)}
    coming = video.frames(path, times)
    first = next(coming, None)
    if first is None:
        return set()
    covered: set[int] = set()
    video_plan = plan.videos[chunk.video or 0]
    extension = video_writing.written_as(plan.target_of(video_plan.name))
    facts = video_plan.facts
    with video_writing.SegmentWriter(segment, extension, facts, first.shape(facts)) as writer:
        for batch in _batches(first, coming):
            rows = [position[frame.time] for frame in batch]
            places = [
                faces.Place(at, region.square, f"{plan.key}/{video_plan.name}/{region.track}")
                for at, row in enumerate(rows)
                for region in regions[row]
            ]
            pictures = [frame.pixels for frame in batch]
            covered |= {rows[places[row].picture] for row in faces.mask_places(pictures, places, masker)}
            for frame in batch:
                writer.write(frame.time, frame.pixels)
            advance(len(batch))
    return covered


def _batches(first: video.Frame, rest: Iterator[video.Frame]) -> Iterator[list[video.Frame]]:
    batch = [first, *islice(rest, BATCH - 1)]
    while batch:
        yield batch
        batch = list(islice(rest, BATCH))


def _doubts(
    name: str, start: int, regions: Sequence[list[Region]], found: Detections, covered: set[int]
) -> Iterator[Doubt]:
    reasons = {
        "the frame could not be decoded": [boxes is None for boxes in found.frames],
        "a face was lost, and its place masked until it was found again": [
            any(region.origin == "bridged" for region in here) for here in regions
        ],
        "something that may not be a face was masked": [
            any(box.score < UNSURE for box in boxes or ()) for boxes in found.frames
        ],
        "a face that could not be masked was covered": [at in covered for at in range(len(regions))],
    }
    for reason, marks in reasons.items():
        for first, last in _runs(marks):
            yield Doubt(name=name, reason=reason, first=start + first, last=start + last)


def _runs(marks: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """First and last position of each run of true ones."""
    begun: int | None = None
    for at, mark in enumerate([*marks, False]):
        if mark and begun is None:
            begun = at
        elif not mark and begun is not None:
            yield begun, at - 1
            begun = None


def join(job: Job, plan: Plan, number: int, target: Path) -> str | None:
    """Put the segments of video `number` together, with its sound, as the file `target`.

    Gives what is missing of a damaged sound, None when nothing is.
    Raises `BadInputError` when not a single frame could be decoded.
    """
    with TemporaryDirectory(prefix="masker-media-") as folder, video_file(plan, plan.chunks_of(number)[0]) as source:
        segments = []
        for chunk in plan.chunks_of(number):
            uri = job.segment(chunk.number)
            if artifacts.exists(uri):
                segments.append(Path(folder) / f"{chunk.number}.{video_writing.SEGMENT}")
                artifacts.get_file(uri, segments[-1])
        if not segments:
            raise BadInputError("not a single frame of the video can be decoded", got=plan.videos[number].name)
        return video_writing.assemble(segments, source, target)
