"""The steps `detect` and `track` of a video: where faces are in each frame, and who they belong to."""

from __future__ import annotations

from collections.abc import Callable

from identity_masker.faces.detect import FaceDetector
from identity_masker.media import faces, video
from identity_masker.media.crops import Square
from identity_masker.media.job import Box, Detections, Job, People
from identity_masker.media.plan import Chunk, Plan
from identity_masker.media.source import video_file
from identity_masker.media.tracks import follow

Advance = Callable[[int], None]
"""Told how many more pictures or frames are done."""


def detect(job: Job, number: int, detector: FaceDetector, advance: Advance) -> Detections:
    """Find the faces in all frames of chunk `number` of a video."""

    def make() -> Detections:
        return _detect(job.plan, job.chunk(number), detector, advance)

    return job.once(f"detections/{number}.json", Detections, make)


def _detect(plan: Plan, chunk: Chunk, detector: FaceDetector, advance: Advance) -> Detections:
    times = plan.times(chunk)
    found: dict[int, list[Box]] = {}
    with video_file(plan, chunk) as path:
        for frame in video.frames(path, times):
            found[frame.time] = [
                Box(x=square.x, y=square.y, side=square.side, score=face.score)
                for face in faces.find(frame.pixels, detector)
                for square in [Square.around(face)]
            ]
            advance(1)
    return Detections(frames=[found.get(time) for time in times])


def track(job: Job, number: int) -> People:
    """Follow the faces through video `number`, all of whose chunks went through `detect`.

    Raises `NotFoundError` where one did not.
    """
    return job.once(f"people/{number}.json", People, lambda: _track(job, number))


def _track(job: Job, number: int) -> People:
    plan = job.plan
    frames = [found for chunk in plan.chunks_of(number) for found in job.detections(chunk.number).frames]
    squares = [[Square(box.x, box.y, box.side) for box in boxes or ()] for boxes in frames]
    regions = follow(squares, plan.videos[number].facts.rate)
    return People(frames=regions, tracks=len({region.track for found in regions for region in found}))
