"""A job in the store: its plan, what each chunk gave, and where the parts lie. What is there is not done again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from identity_masker import artifacts
from identity_masker.errors import NotFoundError
from identity_masker.media import archive
from identity_masker.media import plan as planning
from identity_masker.media.kind import VIDEOS, kind_of
from identity_masker.media.plan import Chunk, Options, Plan
from identity_masker.media.tracks import Region
from identity_masker.serving import model
from identity_masker.settings import settings

Document = TypeVar("Document", bound=BaseModel)


class Box(BaseModel):
    """The square to crop for a face that was found."""

    x: float
    y: float
    side: float
    score: float


class Detections(BaseModel):
    """The faces of each frame of a chunk; a frame that could not be decoded is null."""

    frames: list[list[Box] | None]


class People(BaseModel):
    """The regions to mask in each frame of a video, and how many people were followed."""

    frames: list[list[Region]]
    tracks: int


class Doubt(BaseModel):
    """Something that a person should look at: frames `first` .. `last` of a video, or a picture."""

    name: str
    reason: str
    first: int | None = None
    last: int | None = None


class Counts(BaseModel):
    """What was done; `frames` are those of videos."""

    pictures: int = 0
    frames: int = 0
    faces: int = 0
    without_face: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in Counts.model_fields})


class Masked(BaseModel):
    """What one chunk gave: names of the files that were written, and what was noticed."""

    counts: Counts
    written: list[str]
    skipped: list[planning.Skipped]
    doubts: list[Doubt]


class Job:
    """The documents and parts of one job under `uri`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @property
    def plan(self) -> Plan:
        """Raises `NotFoundError` when there is no such job."""
        return self._read("plan.json", Plan)

    def chunk(self, number: int) -> Chunk:
        """Raises `NotFoundError` for a number that the plan does not have."""
        found = next((chunk for chunk in self.plan.chunks if chunk.number == number), None)
        if found is None:
            raise NotFoundError("the job has no such chunk", got=number, allowed=f"0 to {len(self.plan.chunks) - 1}")
        return found

    def detections(self, chunk: int) -> Detections:
        return self._read(f"detections/{chunk}.json", Detections)

    def people(self, video: int) -> People:
        return self._read(f"people/{video}.json", People)

    def masked(self, chunk: int) -> Masked:
        return self._read(f"masked/{chunk}.json", Masked)

    def segment(self, chunk: int) -> str:
        return artifacts.join(self.uri, "segments", f"{chunk}.nut")

    def part(self, name: str) -> str:
        """Where a masked picture of an archive waits for the others."""
        return artifacts.join(self.uri, "parts", name)

    def once(self, name: str, kind: type[Document], make: Callable[[], Document]) -> Document:
        """The document `name`, made and stored unless an earlier attempt did."""
        try:
            return self._read(name, kind)
        except NotFoundError:
            made = make()
            artifacts.write_json(artifacts.join(self.uri, name), made.model_dump(mode="json"))
            return made

    def forget_parts(self) -> None:
        """Remove what is of no use once the result stands."""
        for name in ("segments", "parts", "detections", "people"):
            artifacts.remove(artifacts.join(self.uri, name))

    def _read(self, name: str, kind: type[Document]) -> Document:
        return artifacts.read_model(kind, artifacts.join(self.uri, name))


def open_job(options: Options, served: model.ServedModel) -> Job:
    """The job of these options on this source with this masker: the one that was begun, or a new one.

    Raises as `planning.listed` does, and `BadInputError` for a destination that cannot be.
    """
    kind = kind_of(options.source)
    if kind is None:
        raise NotFoundError(
            "this is neither a folder nor an archive nor a video", got=options.source,
            allowed=f"a folder, or a file that ends in {', '.join((*archive.EXTENSIONS, *VIDEOS))}",
        )  # fmt: skip
    destination = planning.targets(options.source, options.destination, kind)
    identity = artifacts.sha256(
        "\n".join(
            [options.model_dump_json(exclude={"model", "destination"}), destination, served.sha256, _state(options)]
        ).encode()
    )
    job = Job(artifacts.join(settings().store, "media", identity[:16]))

    def make() -> Plan:
        pictures, videos, skipped = planning.listed(options.source, kind)
        return Plan(
            options=options, kind=kind, destination=destination, model_version=served.semver,
            model_sha256=served.sha256, key=options.key or secrets.token_hex(16), pictures=pictures, videos=videos,
            skipped=skipped, chunks=planning.chunks(pictures, videos),
        )  # fmt: skip

    finished = artifacts.exists(artifacts.join(job.uri, "report.json"))
    if finished and not artifacts.exists(destination):
        artifacts.remove(job.uri)  # somebody took the result away: it is made anew
    job.once("plan.json", Plan, make)
    return job


def _state(options: Options) -> str:
    """What changes when the source does: names, sizes and times or tags of its files."""
    system, path = artifacts.split(options.source)
    if not system.exists(path):
        return ""
    found = system.find(path, detail=True) if system.isdir(path) else {path: system.info(path)}
    return "\n".join(
        f"{name} {info.get('size')} {info.get('ETag') or info.get('mtime')}" for name, info in sorted(found.items())
    )
