"""Labeled Faces in the Wild (Huang et al. 2007): NAME/NAME_0001.jpg, and lists of who is in which part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import BadInputError
from identity_masker.faces.readers.files import check_file, check_folder, read_file, stamp, text, walk
from identity_masker.faces.readers.source import FaceInput, Listed


class LfwReader(BaseModel):
    """Every file of the collection, or those that `people` names; one of these that is not there is missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lfw"] = "lfw"
    path: Path = Field(default=Path(), description="The collection's folder; `--source` sets it.")
    people: Path | None = Field(
        default=None, description="people.txt, peopleDevTrain.txt or peopleDevTest.txt: names with numbers of pictures."
    )
    images: int | None = Field(default=None, ge=1, description="Read so many files, chosen by a hash of their names.")

    def listing(self) -> Iterator[Listed]:
        check_folder(self.path, "the folder of LFW, with one sub-folder a person")
        paths = walk(self.path) if self.people is None else self._named(self.people)
        for path in paths:
            relative = path.relative_to(self.path)
            # The folder says who it is and the file's name says it again: where they differ, nobody knows.
            folders, stem = relative.parts[:-1], relative.stem
            person = text(folders[-1]) if folders and stem.rpartition("_")[0] == folders[-1] else None
            yield Listed(text(relative.as_posix()), person, stamp(path), os.fsencode(relative))

    @contextlib.contextmanager
    def open(self, listed: Sequence[Listed], workers: int) -> Iterator[Iterator[FaceInput]]:
        yield (
            FaceInput(one.name, one.identity, partial(read_file, self.path / os.fsdecode(one.key))) for one in listed
        )

    def limited(self, images: int) -> Self:
        return self.model_copy(update={"images": images})

    def threads(self, workers: int) -> int:
        return workers

    def origin(self) -> str:
        return str(self.path.absolute())

    def _named(self, people: Path) -> Iterator[Path]:
        """The files that a list of people stands for: `George_W_Bush	530` for the pictures 1 to 530."""
        check_file(people, "a list of people of LFW")
        for number, line in enumerate(people.read_text(encoding="utf-8").splitlines(), start=1):
            fields = line.split()
            if len(fields) == 1 and fields[0].isdigit():
                continue  # how many sets there are, or how many people are in the next one
            if len(fields) != 2 or not fields[1].isdigit() or "/" in fields[0]:
                raise BadInputError(
                    "a line of the list of people cannot be read",
                    got=f"{people.name}, line {number}: {line[:80]!r}",
                    allowed="a name and a number of pictures, with a tab between them",
                    fix="correct the line",
                )
            for shot in range(1, int(fields[1]) + 1):
                yield self.path / fields[0] / f"{fields[0]}_{shot:04d}.jpg"
