"""Masked videos: segments of frames, put together with the sound of their source."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias, cast

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from identity_masker.errors import TemporaryError
from identity_masker.media.video import Image, VideoFacts, opened

Packet: TypeAlias = "av.Packet[Any]"

SEGMENT = "nut"
"""The container of segments: it keeps every time base and takes every codec."""


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


def assemble(segments: Sequence[Path], source: Path, target: Path) -> str | None:
    """Join the segments, without encoding them again, with the sound of `source` into the file `target`.

    The sound is copied where the container takes its codec and encoded anew where not. Nothing else comes along:
    no subtitles, chapters, pictures, or metadata such as the place of the recording. What is missing of a damaged
    sound is said in words; None when nothing is.
    """
    try:
        with opened(source) as container:
            sound = _Sound(container, _form(target.suffix.lower())) if container.streams.audio else None
            return _put_together(segments, target, sound)
    except OSError as error:
        raise TemporaryError("the masked video cannot be written", got=f"{target}: {error}") from error
    except FFmpegError as error:
        _put_together(segments, target, None)
        return f"the sound cannot be kept: {error.strerror}"


def _put_together(segments: Sequence[Path], target: Path, sound: _Sound | None) -> str | None:
    form = _form(target.suffix.lower())
    with av.open(str(target), "w", format=form.container) as output:
        with av.open(str(segments[0])) as first:
            video = output.add_stream_from_template(first.streams.video[0])
        packets = [_joined(segments, video)]
        if sound is not None:
            packets.append(sound.packets(output))
        for packet in heapq.merge(*packets, key=_decoding_time):
            output.mux_one(packet)
    return sound.missing if sound is not None else None


def _joined(segments: Sequence[Path], stream: av.VideoStream) -> Iterator[Packet]:
    for segment in segments:
        with av.open(str(segment)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    # Frames are written in the order in which they are shown; of some short segments, such as one of
                    # 7 frames, FFmpeg says no time of decoding.
                    packet.dts = packet.pts
                    packet.stream = stream
                    yield packet


class _Sound:
    """The first sound track of a video on its way into another. `missing` says what did not come along."""

    def __init__(self, source: InputContainer, form: Form) -> None:
        self.missing: str | None = None
        self._source, self._form = source, form
        self._track = source.streams.audio[0]

    def packets(self, output: OutputContainer) -> Iterator[Packet]:
        """Its packets, as those of a new stream of `output`."""
        codec = cast("av.AudioCodecContext | None", self._track.codec_context)
        if codec is None:
            self.missing = "the sound is in a coding that is not read here, and was left out"
            return iter(())
        if codec.name in self._form.audio or codec.name.split("_float")[0] in self._form.audio:
            return self._in_order(self._copied(output.add_stream_from_template(self._track)))
        stream = cast(av.AudioStream, output.add_stream(self._form.audio_encoder, rate=codec.sample_rate))
        return self._in_order(self._encoded(stream))

    def _in_order(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        """Without packets of a damaged file that do not come after the one before: no container takes them."""
        last, left_out = None, 0
        for packet in packets:
            if packet.dts is None:
                continue
            if last is None or packet.dts > last:
                last = packet.dts
                yield packet
            else:
                left_out += 1
                self.missing = f"parts of the sound are damaged and were left out: {left_out}"

    def _copied(self, stream: av.AudioStream) -> Iterator[Packet]:
        try:
            for packet in self._source.demux(self._track):
                packet.stream = stream
                yield packet
        except FFmpegError as error:
            self.missing = f"the sound ends early: {error.strerror}"

    def _encoded(self, stream: av.AudioStream) -> Iterator[Packet]:
        try:
            for frame in self._source.decode(self._track):
                yield from stream.encode(frame)
        except FFmpegError as error:
            self.missing = f"the sound ends early: {error.strerror}"
        yield from stream.encode(None)


def _decoding_time(packet: Packet) -> float:
    return float((packet.dts or 0) * (packet.time_base or 0))
