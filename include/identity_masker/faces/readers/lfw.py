"""Labeled Faces in the Wild (Huang et al. 2007): NAME/NAME_0001.jpg, and lists of who is in which part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from identity_masker.errors import BadInputError
from identity_masker.faces.readers.files import FilesReader, check_file, check_folder, listed, text, walk
from identity_masker.faces.readers.source import Listed

_NO_TEXT = "\ufffd"
_NUMBER = re.compile(r"[0-9]{1,4}")
"""Names of files have room for four digits."""


class LfwReader(FilesReader):
    """Every file of the collection, or those that `people` names; one of these that is not there is missing."""

    kind: Literal["lfw"] = "lfw"
    path: Path = Field(default=Path(), description="The collection's folder; `--source` sets it.")
    people: Path | None = Field(
        default=None, description="people.txt, peopleDevTrain.txt or peopleDevTest.txt: names with numbers of pictures."
    )

    def listing(self) -> Iterator[Listed]:
        check_folder(self.path, "the folder of LFW, with one sub-folder a person")
        paths = walk(self.path) if self.people is None else self._named(self.people)
        for path in paths:
            relative = path.relative_to(self.path)
            # The folder says who it is and the file's name says it again: where they differ, nobody knows.
            folders, stem = relative.parts[:-1], relative.stem
            person = text(folders[-1]) if folders and stem.rpartition("_")[0] == folders[-1] else None
            yield listed(path, self.path, person)

    def _named(self, people: Path) -> Iterator[Path]:
        """The files that a list of people stands for: `George_W_Bush	530` for the pictures 1 to 530."""
        check_file(people, "a list of people of LFW")
        for number, line in enumerate(people.read_text("utf-8", errors="replace").splitlines(), start=1):
            fields = line.split()
            if len(fields) == 1 and fields[0].isdecimal():
                continue  # how many sets there are, or how many people are in the next one
            if len(fields) != 2 or not _NUMBER.fullmatch(fields[1]) or "/" in fields[0] or _NO_TEXT in line:
                raise BadInputError(
                    "a line of the list of people cannot be read",
                    got=f"{people.name}, line {number}: {line[:80]!r}",
                    allowed="UTF-8: a name and a number of pictures, at most 9999, with a tab between them",
                    fix="correct the line",
                )
            for shot in range(1, int(fields[1]) + 1):
                yield self.path / fields[0] / f"{fields[0]}_{shot:04d}.jpg"
