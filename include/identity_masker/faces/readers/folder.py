"""A user's own folder of pictures: one sub-folder a person, as VGGFace2 and most collections are laid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from identity_masker.faces.readers.files import FilesReader, check_folder, listed, text, walk
from identity_masker.faces.readers.source import Listed

NamedBy = Literal["first_folder", "parent_folder"]


class FolderReader(FilesReader):
    """Every file under `path`, whatever it is; nothing in the folder is changed or moved."""

    kind: Literal["folder"] = "folder"
    path: Path = Field(default=Path(), description="Folder with one sub-folder a person; `--source` sets it.")
    identity: NamedBy = Field(default="first_folder", description="Which folder on a file's path names the person.")

    def listing(self) -> Iterator[Listed]:
        check_folder(self.path, "a folder with one sub-folder of pictures a person")
        for path in walk(self.path):
            yield listed(path, self.path, person(path.relative_to(self.path).parts, self.identity))


def person(parts: Sequence[str], named_by: NamedBy) -> str | None:
    """Whose picture lies at the path of `parts`; None for one that lies in no folder."""
    folders = parts[:-1]
    if not folders:
        return None
    return text(folders[0] if named_by == "first_folder" else "/".join(folders))
