"""What a reader is, and what it hands to ingestion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.decode import Limits

BATCH = 256
"""Inputs that are held in memory at one time."""

Attribute = bool | int | float | str

FARTHEST = 1e9
"""Pixels. A point that is farther away is not in a picture."""


@dataclass(frozen=True)
class Labels:
    """What a source knows about a picture beside its person.

    factors     (16,) as in `FaceSet`
    landmarks   (10, 2) as in `FaceSet`
    anchors     (5, 2) in the order of `anchors.ANCHORS`; in pixels of the upright picture as readers give them, as
                fractions of the square once the picture is normalised
    attributes  whatever else, by name
    """

    factors: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None
    anchors: NDArray[np.float32] | None = None
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """One input as its source lists it; nothing of it has been opened.

    name      the same on every listing; ingestion numbers names that occur twice
    identity  whose face it is, None when the source does not say
    etag      changes whenever the picture or what is known about it may have changed
    key       what the reader needs to find it again, also on another machine
    """

    name: str
    identity: str | None
    etag: str
    key: bytes


@dataclass(frozen=True)
class FaceInput:
    """One input that can be read.

    read      gives the file's bytes, or pixels (H, W, 3) uint8 where there never was a file; raises
              `UndecodableError` when there is nothing to read; may be called in another thread
    """

    name: str
    identity: str | None
    read: Callable[[Limits], bytes | NDArray[np.uint8]]
    labels: Labels | None = None


class Reader(Protocol):
    """A source of faces. Readers are configuration (pydantic models), so a dataset's YAML names one.

    images    take so many inputs, chosen by a hash of their names; None for all
    """

    @property
    def images(self) -> int | None: ...

    def listing(self) -> Iterator[Listed]:
        """All inputs, in an order that is the same on every listing, without reading their pictures.

        Raises `NotFoundError` or `BadInputError` when there is no such source.
        """
        ...

    def open(self, listed: Sequence[Listed], workers: int) -> AbstractContextManager[Iterator[FaceInput]]:
        """These inputs, in this order, which can be read until the context ends.

        What has vanished meanwhile is refused when it is read. A reader that computes may do so in `workers` threads.
        """
        ...

    def limited(self, images: int) -> Self:
        """The same source with at most `images` inputs."""
        ...

    def threads(self, workers: int) -> int:
        """How many threads read it best on `workers` cores: more where reading is waiting for another machine."""
        ...

    def origin(self) -> str:
        """Where the faces come from, for people; what was learnt of one origin is not believed of another."""
        ...


def pack(**facts: Any) -> bytes:
    """A `Listed.key` that holds `facts`."""
    return json.dumps(facts, sort_keys=True).encode()


def unpack(key: bytes) -> dict[str, Any]:
    """The facts of a key made by `pack`."""
    facts: dict[str, Any] = json.loads(key)
    return facts


def etag_of(*parts: object) -> str:
    """An etag that differs whenever one of `parts` does."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
