"""Videos: a frame now and then, cut to the face that is in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from identity_masker.faces.decode import Limits, UndecodableError
from identity_masker.faces.readers.files import LocalReader, check_folder, stamp, text, walk
from identity_masker.faces.readers.folder import NamedBy, person
from identity_masker.faces.readers.source import FaceInput, Labels, Listed, etag_of, pack, unpack
from identity_masker.faces.readers.workers import in_order

if TYPE_CHECKING:
    from identity_masker.faces.detect import Face, FaceDetector

ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
Pixels = NDArray[np.uint8]


class VideoReader(LocalReader):
    """Frames of every file under `path`: one input a frame, refused when there is not exactly one face in it.

    A video in a person's folder shows that person, one at the top shows whom its name says.
    """

    kind: Literal["video"] = "video"
    path: Path = Field(default=Path(), description="A video, or a folder of them; `--source` sets it.")
    identity: NamedBy = Field(default="first_folder", description="Which folder on a file's path names the person.")
    seconds: float = Field(default=0.5, ge=0, description="Time between frames that are taken; 0 takes all.")
    faces: Literal["single", "largest"] = Field(
        default="single", description="Refuse a frame with several faces, or take the largest of them."
    )
    threshold: float = Field(default=0.4, gt=0, lt=1, description="How sure a finding must be to count as a face.")
    margin: float = Field(default=0.5, ge=0, le=2, description="Room around a face, in heights of it on each side.")
    max_pixels: int = Field(default=25_000_000, ge=1, description="Width times height of a frame.")

    def listing(self) -> Iterator[Listed]:
        if self.path.is_file():
            yield from self._frames(self.path, self.path.parent)
            return
        check_folder(self.path, "a video, or a folder with one sub-folder of videos a person")
        for path in walk(self.path):
            yield from self._frames(path, self.path)

    @contextlib.contextmanager
    def open(self, listed: Sequence[Listed], workers: int) -> Iterator[Iterator[FaceInput]]:
        yield self._faces(listed, workers)

    def _faces(self, listed: Sequence[Listed], workers: int) -> Iterator[FaceInput]:
        from identity_masker.faces.detect import FaceDetector

        detector = FaceDetector(self.threshold)
        for file, of_file in groupby(listed, key=lambda one: str(unpack(one.key)["path"])):
            frames = _decoded(Path(os.fsdecode(bytes.fromhex(file))), list(of_file), self.max_pixels)
            yield from in_order(partial(self._cut, detector), frames, workers)

    def _frames(self, path: Path, folder: Path) -> Iterator[Listed]:
        relative = path.relative_to(folder)
        who = person(relative.parts, self.identity) or text(relative.stem)
        name, when = text(relative.as_posix()), stamp(path)
        times = list(_times(path, self.seconds))
        if not times:
            # The file itself stands for its frames: it ends up among the refused inputs.
            yield Listed(name, who, when, pack(path=os.fsencode(path.absolute()).hex(), pts=None))
        settings = (self.faces, self.threshold, self.margin, self.max_pixels)
        for pts, seconds in times:
            key = pack(path=os.fsencode(path.absolute()).hex(), pts=pts)
            yield Listed(f"{name}@{seconds:.3f}", who, etag_of(when, settings, pts), key)

    def _cut(self, detector: FaceDetector, frame: _Frame) -> FaceInput:
        if isinstance(frame.pixels, UndecodableError):
            return _refused(frame.listed, frame.pixels)
        faces = detector.find(frame.pixels)
        if not faces:
            return _refused(frame.listed, UndecodableError("no_face", got=frame.listed.name))
        if len(faces) > 1 and self.faces == "single":
            return _refused(frame.listed, UndecodableError("several_faces", got=f"{len(faces)} faces"))
        pixels, labels = _around(frame.pixels, max(faces, key=lambda face: face.height), self.margin)
        return FaceInput(frame.listed.name, frame.listed.identity, lambda _limits: pixels, labels)


class _Frame(NamedTuple):
    listed: Listed
    pixels: Pixels | UndecodableError


def _refused(listed: Listed, error: UndecodableError) -> FaceInput:
    def refuse(_limits: Limits) -> Pixels:
        raise error

    return FaceInput(listed.name, listed.identity, refuse)


def _times(path: Path, seconds: float) -> Iterator[tuple[int, float]]:
    """When frames at least `seconds` apart are shown, in the stream's own time and in seconds; nothing is decoded."""
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            shown = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
            base = float(stream.time_base or 1)
    except (av.FFmpegError, OSError, IndexError, ValueError):
        return
    taken = None
    for pts in shown:
        if taken is None or (pts - taken) * base >= seconds - base / 2:
            taken = pts
            yield pts, (pts - shown[0]) * base


def _decoded(path: Path, listed: list[Listed], max_pixels: int) -> Iterator[_Frame]:
    """The frames `listed` of one file, in order of time; those that cannot be had with the reason."""
    import av

    wanted = {unpack(one.key)["pts"]: one for one in listed}
    problem = UndecodableError("truncated", got=f"{path.name} without this frame")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            for frame in _shown(container, min(pts for pts in wanted if pts is not None), max_pixels):
                one = wanted.pop(frame.pts, None)
                if one is not None:
                    yield _Frame(one, _upright(frame))
                if not wanted:
                    break
    except UndecodableError as error:
        problem = error
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        problem = UndecodableError("not_an_image" if None in wanted else "corrupt", got=f"{path.name}: {error}")
    for one in wanted.values():
        yield _Frame(one, problem)


def _shown(container: Any, first: int, max_pixels: int) -> Iterator[Any]:
    """The frames of the first video stream from the key frame before `first` on."""
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise UndecodableError("unsupported_format", got="a video that no decoder is known of")
    if stream.width * stream.height > max_pixels:
        raise UndecodableError("too_many_pixels", got=f"{stream.width} × {stream.height} pixels")
    stream.codec_context.options = {"max_pixels": str(max_pixels)}  # whatever the file's header says
    stream.thread_type = "AUTO"
    container.seek(first, stream=stream, backward=True)
    yield from container.decode(stream)


def _upright(frame: Any) -> Pixels:
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns))


def _around(pixels: Pixels, face: Face, margin: float) -> tuple[Pixels, Labels]:
    """The square around a face, as far as the picture goes, and its anchors in it."""
    height, width = pixels.shape[:2]
    side = int(min(face.height * (1 + 2 * margin), height, width))
    left = int(np.clip((face.left + face.right - side) / 2, 0, width - side))
    top = int(np.clip((face.top + face.bottom - side) / 2, 0, height - side))
    cut = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    return cut, Labels(anchors=(face.landmarks - np.array([left, top])).astype(np.float32))
