"""What a reader is, and what it hands to ingestion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.decode import Limits

BATCH = 256
"""Inputs a reader hands over at once: what is held in memory at one time."""


@dataclass(frozen=True)
class Labels:
    """What is known about a picture: `factors` (16,) and `landmarks` (10, 2), as in `FaceSet`."""

    factors: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class FaceInput:
    """One input of a source, before anybody knows whether it is usable.

    name      unique in its source, the same on every reading
    identity  whose face it is, None when the source does not say
    read      gives the file's bytes, or pixels (H, W, 3) uint8 where there never was a file; raises
              `UndecodableError` when there is nothing to read; may be called in another thread
    """

    name: str
    identity: str | None
    read: Callable[[Limits], bytes | NDArray[np.uint8]]
    labels: Labels | None = None


class Reader(Protocol):
    """A source of faces. Readers are configuration (pydantic models), so a dataset's YAML names one."""

    def batches(self, workers: int) -> Iterator[list[FaceInput]]:
        """All inputs, in an order that is the same on every reading, about `BATCH` at a time.

        A reader that computes may do so in `workers` threads.
        """
        ...

    def limited(self, images: int) -> Self:
        """The same source with `images` inputs."""
        ...

    def origin(self) -> str:
        """Where the faces come from, for people."""
        ...

    def fingerprint(self) -> str | None:
        """A text that changes whenever the inputs may have changed; None when only reading them tells."""
        ...
