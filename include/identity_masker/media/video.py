"""Video files through FFmpeg (PyAV): what is in one, and its frames in any range."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.media.kind import VIDEOS

Image = NDArray[np.uint8]

DEFAULT_RATE = Fraction(25)
MAX_PIXELS = 8192 * 4320
"""Width times height of a frame: what is called 8K."""


class VideoFacts(BaseModel):
    """What a video holds. `times` are the presentation times of its frames, in units of `time_base`, in order.

    announced  frames that the header speaks of; more than there are where the tail is broken
    """

    model_config = ConfigDict(frozen=True)

    width: int
    height: int
    rate: float
    time_base: tuple[int, int]
    times: tuple[int, ...]
    announced: int
    audio: bool
    broken: str | None


def probe(path: Path) -> VideoFacts:
    """Look through the packets of a video without decoding them.

    Raises `NotFoundError` for a missing file and `BadInputError` for one that is no video, has no frames or cannot be
    decoded here.
    """
    with opened(path) as container:
        video = _video_stream(container, path)
        times, broken = _times(container, path)
        if not times:
            raise BadInputError(
                "the video has no frames", got=f"{path.name}{'' if broken is None else f': {broken}'}",
                allowed="a video with at least one frame", fix="export or download it again",
            )  # fmt: skip
        base = video.time_base or Fraction(1, 25)
        rate = video.average_rate or video.guessed_rate or DEFAULT_RATE
        if broken is None and video.frames > len(times):
            broken = f"the file ends after {len(times)} of {video.frames} frames"
        return VideoFacts(
            width=video.width, height=video.height, rate=float(rate), time_base=(base.numerator, base.denominator),
            times=tuple(times), announced=max(video.frames, len(times)), audio=bool(container.streams.audio),
            broken=broken,
        )  # fmt: skip


def _times(container: InputContainer, path: Path) -> tuple[list[int], str | None]:
    times: list[int] = []
    try:
        for packet in container.demux(container.streams.video[0]):
            if packet.size and not packet.is_discard:
                if packet.pts is None:
                    raise BadInputError(
                        "the video's frames have no times", got=path.name, allowed="a video in a container with times",
                        fix="put it into one: ffmpeg -i IN -c copy OUT.mp4",
                    )  # fmt: skip
                times.append(packet.pts)
    except FFmpegError as error:
        return sorted(set(times)), str(error)
    return sorted(set(times)), None


class Frame(NamedTuple):
    """A decoded frame, upright; `sideways` where it is stored turned by a quarter."""

    time: int
    pixels: Image
    sideways: bool = False

    def shape(self, facts: VideoFacts) -> tuple[int, int]:
        """Height and width of the video's upright frames, whatever the size of this one: it may change on the way."""
        return (facts.width, facts.height) if self.sideways else (facts.height, facts.width)


def frames(path: Path, times: Sequence[int]) -> Iterator[Frame]:
    """The frames of `times`, which are in order; who counts them sees what cannot be decoded.

    A damaged video may give a frame after a later one: no place is left for it.
    """
    left = deque(times)
    with opened(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # whatever the file's header says
        try:
            container.seek(times[0], stream=stream, backward=True, any_frame=False)
            for frame in container.decode(stream):
                if frame.pts is None or frame.pts < left[0]:
                    continue
                while left and left[0] < frame.pts:
                    left.popleft()
                if left and left[0] == frame.pts:
                    turns = round(frame.rotation / 90) % 4
                    yield Frame(left.popleft(), _turned(frame, turns), sideways=turns % 2 == 1)
                if not left:
                    return
        except FFmpegError:  # a broken tail
            return


def _turned(frame: av.VideoFrame, turns: int) -> Image:
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), k=turns))


def _video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    if not container.streams.video:
        raise BadInputError(
            "the file has no picture", got=f"{path.name} with {len(container.streams)} streams, none of them video",
            allowed="a video",
        )  # fmt: skip
    stream = container.streams.video[0]
    # PyAV has no context for what FFmpeg knows no decoder of.
    if stream.codec_context is None:
        raise BadInputError(
            "the video is in a coding that is not read here", got=path.name, allowed="H.264, VP9 or another common one",
            fix="export or download it again, or convert it: ffmpeg -i IN OUT.mp4",
        )  # fmt: skip
    if stream.width * stream.height > MAX_PIXELS:
        raise BadInputError(
            "the video's frames are too large", got=f"{stream.width} × {stream.height} pixels",
            allowed=f"at most {MAX_PIXELS:,} pixels", fix="scale it down: ffmpeg -i IN -vf scale=1920:-2 OUT.mp4",
        )  # fmt: skip
    return stream


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The video file at `path`. What it says about itself may be in any encoding.

    Raises `NotFoundError` for a missing file and `BadInputError` for one that is no video.
    """
    if not path.is_file():
        raise NotFoundError("the video does not exist", got=path)
    try:
        container = av.open(str(path), metadata_errors="replace")
    except FFmpegError as error:
        raise BadInputError(
            "the file cannot be opened as a video", got=f"{path.name}: {error}", allowed=", ".join(VIDEOS),
            fix="export or download it again; a file that was cut off may lack its index",
        ) from error  # fmt: skip
    with container:
        yield container
