"""Files of a folder: walking, naming, stating and reading them without being led astray."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.decode import Limits, UndecodableError, check_bytes
from identity_masker.faces.readers.source import FaceInput, Listed

GONE, UNREADABLE = "gone", "unreadable"


def check_folder(path: Path, allowed: str) -> None:
    """Raise unless `path` is a folder; `allowed` says what is expected in it."""
    if path == Path() or not path.exists():
        raise NotFoundError(
            "the source folder does not exist",
            got="no path" if path == Path() else path,
            allowed=allowed,
            fix="pass it with --source DIR",
        )
    if not path.is_dir():
        raise BadInputError("the source is not a folder", got=path, fix="pass the folder that holds it")


def check_file(path: Path, allowed: str) -> None:
    """Raise unless `path` is a file; `allowed` says what is expected in it."""
    if not path.is_file():
        raise NotFoundError(
            "the source has no such file", got=path, allowed=allowed, fix="correct the path, or copy it"
        )


def walk(folder: Path) -> Iterator[Path]:
    """All under `folder` that is not a folder, in order of names; links to folders are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        # The folder itself stands for what is in it: it ends up among the refused inputs.
        yield folder
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(Path(entry.path))
        else:
            yield Path(entry.path)


def stamp(path: Path) -> str:
    """Size and time of last change of what `path` leads to: another stamp, another content."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # the latter of a name with a zero byte, which no file has
        return GONE
    if not os.access(path, os.R_OK):
        return UNREADABLE
    return f"{status.st_size}-{status.st_mtime_ns}"


def read_file(path: Path, limits: Limits) -> bytes:
    """The bytes of `path`; nothing that is not a file of a permitted size is opened."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode) and not path.is_symlink():
            raise UndecodableError("unreadable", got=f"{path.name}, a folder that may not be listed")
        if not stat.S_ISREG(status.st_mode):
            raise UndecodableError("not_a_file", got=path.name)
        check_bytes(status.st_size, limits)
        with path.open("rb") as file:
            # Python sets aside as many bytes as are asked for, so the limit itself is asked for only of a file that
            # has grown since it was measured.
            content = file.read(status.st_size + 1)
            if len(content) > status.st_size:
                content += file.read(limits.max_bytes)
    except FileNotFoundError as error:
        link = ", a link to nothing" if path.is_symlink() else ""
        raise UndecodableError("not_a_file" if link else "missing", got=f"{path.name}{link}") from error
    except ValueError as error:
        raise UndecodableError("missing", got=f"{path.name!r}: {error}") from error
    except OSError as error:
        raise UndecodableError("unreadable", got=f"{path.name}: {error.strerror}") from error
    check_bytes(len(content), limits)
    return content


def listed(path: Path, folder: Path, identity: str | None) -> Listed:
    """The file at `path` in the source `folder`, whose face is that of `identity`."""
    relative = path.relative_to(folder)
    return Listed(text(relative.as_posix()), identity, stamp(path), os.fsencode(relative))


class LocalReader(BaseModel):
    """What readers of a path on this machine share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    images: int | None = Field(default=None, ge=1, description="Read so many inputs, chosen by a hash of their names.")

    def limited(self, images: int) -> Self:
        return self.model_copy(update={"images": images})

    def threads(self, workers: int) -> int:
        return workers

    def origin(self) -> str:
        return str(self.path.absolute())


class FilesReader(LocalReader):
    """A file of the folder is one input, and its key is its path in the folder."""

    @contextlib.contextmanager
    def open(self, listed: Sequence[Listed], workers: int) -> Iterator[Iterator[FaceInput]]:
        yield (
            FaceInput(one.name, one.identity, partial(read_file, self.path / os.fsdecode(one.key))) for one in listed
        )


def text(name: str) -> str:
    """`name` as text that can be stored: bytes that are not UTF-8 are spelled out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
