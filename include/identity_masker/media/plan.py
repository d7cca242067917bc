"""What a job does: its source taken apart into pictures, videos and chunks, before any of it is masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.decode import Limits
from identity_masker.faces.formats import READABLE
from identity_masker.media import archive, video
from identity_masker.media.kind import VIDEOS, Kind
from identity_masker.media.video_writing import written_as

PICTURES = tuple(extension for names in READABLE.values() for extension in names)
LIMITS = Limits(max_pixels=4096 * 4096)
MOST_ENTRIES = 200_000
PICTURES_A_CHUNK = 100
FRAMES_A_CHUNK = 250


class Options(BaseModel):
    """What somebody asks for. `source` and `destination` are paths or URIs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1)
    destination: str = ""
    model: str = Field(default="champion", description="Reference of a registered version, or a folder.")
    strength: float = Field(default=1.0, gt=0.0, le=1.0)
    key: str = Field(default="", description="Chooses the fictitious faces; by default a secret of this job.")
    faceless: Literal["leave out", "copy"] = "leave out"


class Skipped(BaseModel):
    """An input that no masked copy was made of, and why."""

    name: str
    reason: str


class Video(BaseModel):
    """A video of the source; `name` is relative to it."""

    name: str
    facts: video.VideoFacts


class Chunk(BaseModel):
    """Work for one process: pictures by their place in the list, or frames `first` .. `last` − 1 of a video."""

    number: int
    video: int | None
    first: int
    last: int


class Plan(BaseModel):
    """A job. `model_sha256` pins the masker: an alias that moves meanwhile does not change faces half way."""

    options: Options
    kind: Kind
    destination: str
    model_version: str
    model_sha256: str
    key: str
    pictures: list[str]
    videos: list[Video]
    skipped: list[Skipped]
    chunks: list[Chunk]

    def chunks_of(self, number: int) -> list[Chunk]:
        """The chunks of video `number`, in order."""
        return [chunk for chunk in self.chunks if chunk.video == number]

    def times(self, chunk: Chunk) -> tuple[int, ...]:
        """The presentation times of the frames of a chunk of a video."""
        assert chunk.video is not None  # noqa: S101 - asked for chunks of videos only
        return self.videos[chunk.video].facts.times[chunk.first : chunk.last]

    def uri_of(self, name: str) -> str:
        """Where the picture or video `name` of the source lies, unless that is an archive."""
        return self.options.source if self.kind == "video" else artifacts.join(self.options.source, name)

    def target_of(self, name: str) -> str:
        """Where the masked copy of the video `name` goes."""
        if self.kind == "video":
            return self.destination
        path = PurePosixPath(name)
        return artifacts.join(self.destination, str(path.with_suffix(written_as(name))))


def targets(source: str, destination: str, kind: Kind) -> str:
    """Where the result goes: `destination`, or beside the source as NAME.masked, with the form's extension.

    Raises `BadInputError` where that is the source itself, or lies within it.
    """
    source = source.rstrip("/")
    path = PurePosixPath(source)
    if not destination:
        ending = "" if kind == "folder" else _ending(path.name)
        stem = path.name.removesuffix(ending) if ending else path.name
        extension = written_as(path.name) if kind == "video" else ending
        destination = f"{source[: len(source) - len(path.name)]}{stem}.masked{extension}"
    if kind == "video" and PurePosixPath(destination).suffix.lower() != written_as(destination):
        raise BadInputError(
            "a video is not written in this form", got=destination, allowed=".mp4, .m4v, .mov, .mkv or .webm"
        )
    if kind == "archive" and not destination.lower().endswith(archive.EXTENSIONS):
        raise BadInputError(
            "this is not the name of an archive", got=destination, allowed=", ".join(archive.EXTENSIONS)
        )
    inside = f"{_absolute(destination).rstrip('/')}/".startswith(f"{_absolute(source)}/")
    if inside:
        raise BadInputError(
            "the masked copies would lie within what they are made of",
            got=destination,
            fix="choose another destination",
        )
    return destination


def _absolute(uri: str) -> str:
    return str(Path(artifacts.split(uri)[1]).resolve()) if artifacts.is_local(uri) else uri


def _ending(name: str) -> str:
    lower = name.lower()
    found = next(
        (e for e in sorted(archive.EXTENSIONS, key=len, reverse=True) if lower.endswith(e)), PurePosixPath(name).suffix
    )
    return name[len(name) - len(found) :]


def listed(source: str, kind: Kind) -> tuple[list[str], list[Video], list[Skipped]]:
    """The pictures and videos of a source, and what is neither.

    Raises `NotFoundError` for a missing source and `BadInputError` for one that cannot be read or holds nothing.
    """
    if not artifacts.exists(source):
        raise NotFoundError("the source does not exist", got=source, fix="check the path")
    if kind == "video":
        with local(source) as path:
            return [], [Video(name=path.name, facts=video.probe(path))], []
    names = _folder_names(source) if kind == "folder" else _archive_names(source)
    pictures = sorted(name for name in names if name.lower().endswith(PICTURES))
    found, skipped = _videos(source, kind, sorted(name for name in names if name.lower().endswith(VIDEOS)))
    known = {*pictures, *(v.name for v in found), *(s.name for s in skipped)}
    skipped += [Skipped(name=name, reason="neither a picture nor a video") for name in names if name not in known]
    if not pictures and not found:
        raise BadInputError(
            "there is nothing to mask in the source", got=f"{source} with {len(names)} files",
            allowed=f"files that end in {', '.join((*PICTURES, *VIDEOS))}",
        )  # fmt: skip
    return pictures, found, skipped


def _videos(source: str, kind: Kind, names: Sequence[str]) -> tuple[list[Video], list[Skipped]]:
    found, skipped = [], []
    for name in names:
        if kind == "archive":
            skipped.append(Skipped(name=name, reason="a video in an archive: unpack it first"))
            continue
        try:
            with local(artifacts.join(source, name)) as path:
                found.append(Video(name=name, facts=video.probe(path)))
        except BadInputError as error:
            skipped.append(Skipped(name=name, reason=str(error)))
    return found, skipped


def _folder_names(source: str) -> list[str]:
    root = _root(source)
    return [name for path in artifacts.tree(source) if _visible(name := path[len(root) :].lstrip("/"))]


def _root(source: str) -> str:
    return artifacts.split(source)[1] if artifacts.is_local(source) else source.rstrip("/")


def _visible(name: str) -> bool:
    return not any(part.startswith(".") for part in PurePosixPath(name).parts)


def _archive_names(source: str) -> list[str]:
    with local(source) as path, archive.opened(path) as opened:
        names = [name for name in opened.names() if _visible(name)]
    if len(names) > MOST_ENTRIES:
        raise BadInputError("the archive holds too many files", got=len(names), allowed=f"at most {MOST_ENTRIES}")
    return names


def chunks(pictures: Sequence[str], videos: Sequence[Video]) -> list[Chunk]:
    """The work cut into parts."""
    parts: list[tuple[int | None, int, int]] = [
        (None, at, min(at + PICTURES_A_CHUNK, len(pictures))) for at in range(0, len(pictures), PICTURES_A_CHUNK)
    ]
    for number, found in enumerate(videos):
        length = len(found.facts.times)
        parts += [(number, at, min(at + FRAMES_A_CHUNK, length)) for at in range(0, length, FRAMES_A_CHUNK)]
    return [Chunk(number=n, video=v, first=first, last=last) for n, (v, first, last) in enumerate(parts)]


@contextmanager
def local(uri: str) -> Iterator[Path]:
    """The file at `uri` on this machine: itself where it is here, else a copy that is gone afterwards."""
    if artifacts.is_local(uri):
        yield Path(artifacts.split(uri)[1])
        return
    with TemporaryDirectory(prefix="masker-media-") as folder:
        path = Path(folder) / PurePosixPath(uri).name
        artifacts.get_file(uri, path)
        yield path
