"""Faces drawn by the project's own renderer, with exact labels."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.faces.decode import Limits
from identity_masker.faces.readers.source import BATCH, FaceInput, Labels, Listed, pack, unpack
from identity_masker.faces.readers.workers import in_order

_FEWEST_PEOPLE = 8


class RenderedReader(BaseModel):
    """`images` pictures of `people` people: picture i shows person i modulo `people`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["rendered"] = "rendered"
    seed: int = Field(default=1, ge=0, description="The world: another seed has other people.")
    people: int = Field(default=400, ge=1)
    images: int = Field(default=6800, ge=1)
    size: int = Field(default=64, ge=64, le=256, description="Side in pixels.")

    def listing(self) -> Iterator[Listed]:
        etag = self._drawn_by()
        for row in range(self.images):
            person, shot = row % self.people, row // self.people
            yield Listed(
                f"seed-{self.seed}/person-{person:05d}/shot-{shot:04d}",
                f"seed-{self.seed}-person-{person:05d}",
                etag,
                pack(person=person, shot=shot),
            )

    @contextlib.contextmanager
    def open(self, listed: Sequence[Listed], workers: int) -> Iterator[Iterator[FaceInput]]:
        import torch

        parts = (listed[at : at + BATCH] for at in range(0, len(listed), BATCH))
        threads = torch.get_num_threads()
        # The workers fill the cores; threads inside of each operation would only wait for one another.
        torch.set_num_threads(1)
        try:
            yield chain.from_iterable(in_order(self._draw, parts, workers))
        finally:
            torch.set_num_threads(threads)

    def limited(self, images: int) -> Self:
        """Fewer pictures come from fewer people, so that each is still seen as often."""
        people = max(_FEWEST_PEOPLE, round(self.people * images / self.images))
        return self.model_copy(update={"images": images, "people": min(people, max(self.people, images))})

    def threads(self, workers: int) -> int:
        return workers

    def origin(self) -> str:
        return f"rendered faces, seed {self.seed}"

    def _drawn_by(self) -> str:
        """A hash of what decides how a picture looks: the seed, the size and the renderer itself."""
        digest = hashlib.sha256(f"{self.seed} {self.size}".encode())
        for path in sorted((Path(__file__).parents[1] / "render").glob("*.py")):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _draw(self, listed: Sequence[Listed]) -> list[FaceInput]:
        from identity_masker.faces import render

        keys = [unpack(one.key) for one in listed]
        people = np.array([key["person"] for key in keys])
        drawn = render.draw(self.seed, people, np.array([key["shot"] for key in keys]), self.size)
        return [
            FaceInput(
                one.name,
                one.identity,
                partial(_pixels, drawn.images[at]),
                Labels(drawn.factors[at], drawn.landmarks[at]),
            )
            for at, one in enumerate(listed)
        ]


def _pixels(pixels: NDArray[Any], _limits: Limits) -> NDArray[np.uint8]:
    return pixels
