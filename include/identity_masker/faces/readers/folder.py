"""A user's own folder of pictures: one sub-folder a person, as VGGFace2 and most collections are laid out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.faces.readers.files import check_folder, read_file, stamp, text, walk
from identity_masker.faces.readers.source import FaceInput, Listed

NamedBy = Literal["first_folder", "parent_folder"]


class FolderReader(BaseModel):
    """Every file under `path`, whatever it is; nothing in the folder is changed or moved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["folder"] = "folder"
    path: Path = Field(default=Path(), description="Folder with one sub-folder a person; `--source` sets it.")
    identity: NamedBy = Field(default="first_folder", description="Which folder on a file's path names the person.")
    images: int | None = Field(default=None, ge=1, description="Read so many files, chosen by a hash of their names.")

    def listing(self) -> Iterator[Listed]:
        check_folder(self.path, "a folder with one sub-folder of pictures a person")
        for path in walk(self.path):
            relative = path.relative_to(self.path)
            yield Listed(
                text(relative.as_posix()), person(relative.parts, self.identity), stamp(path), os.fsencode(relative)
            )

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


def person(parts: Sequence[str], named_by: NamedBy) -> str | None:
    """Whose picture lies at the path of `parts`; None for one that lies in no folder."""
    folders = parts[:-1]
    if not folders:
        return None
    return text(folders[0] if named_by == "first_folder" else "/".join(folders))
