"""Video files through FFmpeg (PyAV): what is in one, its frames in any range, segments, and the whole put together."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias, cast

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from identity_masker.errors import BadInputError, NotFoundError, TemporaryError
from identity_masker.media.kind import VIDEOS

Image = NDArray[np.uint8]
Packet: TypeAlias = "av.Packet[Any]"

SEGMENT = "nut"
"""The container of segments: it keeps every time base and takes every codec."""
DEFAULT_RATE = Fraction(25)


class Form(NamedTuple):
    """How a masked video is written: FFmpeg's container, encoder, its options, and the audio codecs it holds."""

    container: str
    encoder: str
    options: dict[str, str]
    audio: frozenset[str]
    audio_encoder: str


_H264 = {"crf": "18", "preset": "veryfast", "bf": "0"}
_MP4 = Form("mp4", "libx264", _H264, frozenset({"aac", "mp3", "ac3", "eac3", "alac"}), "aac")
_FORMS = {
    ".webm": Form("webm", "libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6"},
                  frozenset({"opus", "vorbis"}), "libopus"),
    ".mkv": Form("matroska", "libx264", _H264, frozenset({"aac", "mp3", "ac3", "flac", "opus", "vorbis"}), "aac"),
    ".mov": Form("mov", "libx264", _H264, frozenset({"aac", "mp3", "alac", "pcm_s16le"}), "aac"),
}  # fmt: skip


def written_as(name: str) -> str:
    """The extension of the masked copy of a video: its own where that can be written, else `.mp4`."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in (".mp4", ".m4v", *_FORMS) else ".mp4"


def _form(extension: str) -> Form:
    return _FORMS.get(extension, _MP4)


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

    Raises `NotFoundError` for a missing file and `BadInputError` for one that is no video or has no frames.
    """
    with _opened(path) as container:
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
    """A decoded frame, upright."""

    time: int
    pixels: Image


def frames(path: Path, first: int, last: int) -> Iterator[Frame]:
    """The frames whose times are in [`first`, `last`], in order. Ends early where nothing more can be decoded."""
    with _opened(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        try:
            container.seek(first, stream=stream, backward=True, any_frame=False)
            for frame in container.decode(stream):
                if frame.pts is None or frame.pts < first:
                    continue
                if frame.pts > last:
                    return
                yield Frame(frame.pts, _upright(frame))
        except FFmpegError:  # a broken tail; who counts the frames sees what is missing
            return


def _upright(frame: av.VideoFrame) -> Image:
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, k=round(frame.rotation / 90) % 4))


class SegmentWriter:
    """Writes frames with their times to one segment, which is there only once it is whole."""

    def __init__(self, path: Path, extension: str, facts: VideoFacts, shape: tuple[int, int]) -> None:
        """`shape` is the height and width of the upright frames."""
        form = _form(extension)
        self._path = path
        self._partial = path.with_name(f".{path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container: OutputContainer = av.open(str(self._partial), "w", format=SEGMENT)
        self._base = Fraction(*facts.time_base)
        rate = Fraction(facts.rate).limit_denominator(100_000)
        stream = self._container.add_stream(form.encoder, rate=rate, options=form.options)
        self._stream = cast(av.VideoStream, stream)
        self._stream.height, self._stream.width = shape
        self._stream.pix_fmt = "yuv420p" if shape[0] % 2 == 0 and shape[1] % 2 == 0 else "yuv444p"
        self._stream.codec_context.time_base = self._base

    def write(self, time: int, pixels: Image) -> None:
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = time, self._base
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)


def assemble(segments: Sequence[Path], source: Path, target: Path) -> None:
    """Join the segments, without encoding them again, with the sound of `source` into the file `target`.

    The sound is copied where the container takes its codec and encoded anew where not. Nothing else comes along:
    no subtitles, chapters, pictures, or metadata such as the place of the recording.
    """
    form = _form(target.suffix.lower())
    try:
        with av.open(str(target), "w", format=form.container) as output, _opened(source) as sound:
            with av.open(str(segments[0])) as first:
                video = output.add_stream_from_template(first.streams.video[0])
            packets = _joined(segments, video)
            audio = _sound(sound, output, form)
            for packet in heapq.merge(packets, audio, key=_decoding_time):
                output.mux_one(packet)
    except OSError as error:
        raise TemporaryError("the masked video cannot be written", got=f"{target}: {error}") from error


def _joined(segments: Sequence[Path], stream: av.VideoStream) -> Iterator[Packet]:
    for segment in segments:
        with av.open(str(segment)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    yield packet


def _sound(source: InputContainer, output: OutputContainer, form: Form) -> Iterator[Packet]:
    """The packets of the first sound track, if there is one, belonging to a new stream of `output`."""
    if not source.streams.audio:
        return iter(())
    track = source.streams.audio[0]
    if track.codec_context.name.split("_float")[0] in form.audio or track.codec_context.name in form.audio:
        return _copied(source, track, output.add_stream_from_template(track))
    stream = cast(av.AudioStream, output.add_stream(form.audio_encoder, rate=track.codec_context.sample_rate))
    return _encoded(source, track, stream)


def _copied(source: InputContainer, track: av.AudioStream, stream: av.AudioStream) -> Iterator[Packet]:
    try:
        for packet in source.demux(track):
            if packet.dts is not None:
                packet.stream = stream
                yield packet
    except FFmpegError:  # a broken tail
        return


def _encoded(source: InputContainer, track: av.AudioStream, stream: av.AudioStream) -> Iterator[Packet]:
    try:
        for frame in source.decode(track):
            yield from stream.encode(frame)
    except FFmpegError:  # a broken tail
        pass
    yield from stream.encode(None)


def _decoding_time(packet: Packet) -> float:
    return float((packet.dts or 0) * (packet.time_base or 0))


def _video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    if not container.streams.video:
        raise BadInputError(
            "the file has no picture", got=f"{path.name} with {len(container.streams)} streams, none of them video",
            allowed="a video",
        )  # fmt: skip
    return container.streams.video[0]


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    if not path.is_file():
        raise NotFoundError("the video does not exist", got=path)
    try:
        container = av.open(str(path))
    except FFmpegError as error:
        raise BadInputError(
            "the file cannot be opened as a video", got=f"{path.name}: {error}", allowed=", ".join(VIDEOS),
            fix="export or download it again; a file that was cut off may lack its index",
        ) from error  # fmt: skip
    with container:
        yield container
