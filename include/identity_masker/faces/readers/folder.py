"""A user's own folder of pictures: one sub-folder a person."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.decode import Limits, UndecodableError, check_bytes
from identity_masker.faces.readers.source import BATCH, FaceInput


class FolderReader(BaseModel):
    """Every file under `path`, whatever it is; nothing in the folder is changed or moved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["folder"] = "folder"
    path: Path = Field(default=Path(), description="Folder with one sub-folder a person; `--source` sets it.")
    identity: Literal["first_folder", "parent_folder"] = Field(
        default="first_folder", description="Which folder on a file's path names the person."
    )
    images: int | None = Field(default=None, ge=1, description="Read so many files, chosen by a hash of their names.")

    def batches(self, workers: int) -> Iterator[list[FaceInput]]:
        self._check_folder()
        paths = self._paths()
        while batch := list(islice(paths, BATCH)):
            yield [self._input(path) for path in batch]

    def limited(self, images: int) -> Self:
        return self.model_copy(update={"images": images})

    def origin(self) -> str:
        return str(self.path.absolute())

    def fingerprint(self) -> str | None:
        return None

    def _check_folder(self) -> None:
        if self.path == Path() or not self.path.exists():
            raise NotFoundError(
                "the source folder does not exist",
                got="no path" if self.path == Path() else self.path,
                allowed="a folder with one sub-folder of pictures a person",
                fix="pass it with --source DIR",
            )
        if not self.path.is_dir():
            raise BadInputError("the source is not a folder", got=self.path, fix="pass the folder that holds it")

    def _paths(self) -> Iterator[Path]:
        if self.images is None:
            return _files(self.path)
        chosen = sorted(_files(self.path), key=lambda path: hashlib.sha256(os.fsencode(path)).digest())[: self.images]
        return iter(sorted(chosen))

    def _input(self, path: Path) -> FaceInput:
        folders = path.relative_to(self.path).parts[:-1]
        person = None
        if folders:
            person = _text(folders[0] if self.identity == "first_folder" else "/".join(folders))
        return FaceInput(_text(path.relative_to(self.path).as_posix()), person, partial(_read, path))


def _files(folder: Path) -> Iterator[Path]:
    """All under `folder` that is not a folder, in order of names; links to folders are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        # The folder itself stands for what is in it: it ends up among the refused inputs.
        yield folder
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)


def _read(path: Path, limits: Limits) -> bytes:
    """The bytes of `path`; nothing that is not a file of a permitted size is opened."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode) and not path.is_symlink():
            raise UndecodableError("unreadable", got=f"{path.name}, a folder that may not be listed")
        if not stat.S_ISREG(status.st_mode):
            raise UndecodableError("not_a_file", got=path.name)
        check_bytes(status.st_size, limits)
        with path.open("rb") as file:
            # The file may have grown since it was measured.
            content = file.read(limits.max_bytes + 1)
    except FileNotFoundError as error:
        raise UndecodableError("not_a_file", got=f"{path.name}, a link to nothing") from error
    except OSError as error:
        raise UndecodableError("unreadable", got=f"{path.name}: {error.strerror}") from error
    check_bytes(len(content), limits)
    return content


def _text(name: str) -> str:
    """`name` as text that can be stored: bytes that are not UTF-8 are spelled out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
