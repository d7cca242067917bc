"""A tar or zip archive of pictures, read where it lies: nothing is unpacked beside it."""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, NamedTuple

from pydantic import Field

from identity_masker.errors import BadInputError
from identity_masker.faces.archive_damage import DAMAGES, first_line, is_folder
from identity_masker.faces.decode import Limits, UndecodableError, check_bytes
from identity_masker.faces.readers.files import LocalReader, check_file, read_file, stamp
from identity_masker.faces.readers.folder import NamedBy, person
from identity_masker.faces.readers.source import FaceInput, Listed, etag_of, pack, unpack

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_NAMED = 2
"""Folders on the path of a file whose first folder may be that of the whole collection."""


class _Member(NamedTuple):
    """A file in the archive: `at` is its place in the list of a zip, and its first byte in a tar."""

    path: str
    etag: str
    at: int
    size: int
    regular: bool


class ArchiveReader(LocalReader):
    """Every file in the archive; a folder that holds all others, as archives often have, names nobody.

    A compressed tar can only be read from its beginning, so each part of an ingestion goes through all that lies
    before it; a zip or a plain tar is read at the right place.
    """

    kind: Literal["archive"] = "archive"
    path: Path = Field(default=Path(), description="The archive; `--source` sets it.")
    identity: NamedBy = Field(default="first_folder", description="Which folder on a file's path names the person.")

    def listing(self) -> Iterator[Listed]:
        check_file(self.path, f"an archive: {', '.join(ENDINGS)}")
        # A folder in which everything lies, people's folders first of all.
        top, deep = set(), True
        for member in self._members():
            parts = PurePosixPath(member.path).parts
            top.add(parts[0])
            deep &= len(parts) > _NAMED
        skipped = 1 if len(top) == 1 and deep else 0
        for member in self._members():
            key = pack(at=member.at, size=member.size, regular=member.regular)
            who = person(PurePosixPath(member.path).parts[skipped:], self.identity)
            yield Listed(member.path, who, member.etag, key)

    @contextlib.contextmanager
    def open(self, listed: Sequence[Listed], workers: int) -> Iterator[Iterator[FaceInput]]:
        if zipfile.is_zipfile(self.path):
            with self._opened_zip() as archive:
                yield _from_zip(archive, listed)
        elif _is_plain_tar(self.path):
            with self.path.open("rb") as file:
                yield (FaceInput(one.name, one.identity, partial(_read_at, file, unpack(one.key))) for one in listed)
        else:
            # On the disk, not in memory: the pictures of a block may be large.
            with tempfile.TemporaryDirectory() as folder:
                yield self._from_compressed_tar(listed, Path(folder))

    def _members(self) -> Iterator[_Member]:
        with self._errors():
            yield from _zip_members(self.path) if zipfile.is_zipfile(self.path) else _tar_members(self.path)

    def _opened_zip(self) -> zipfile.ZipFile:
        with self._errors():
            return zipfile.ZipFile(self.path)

    def _from_compressed_tar(self, listed: Sequence[Listed], folder: Path) -> Iterator[FaceInput]:
        wanted = {unpack(one.key)["at"]: one for one in listed}
        with self._errors(), tarfile.open(self.path) as archive:
            for member in archive:
                one = wanted.pop(member.offset_data, None)
                if one is not None:
                    yield FaceInput(one.name, one.identity, _spooled(archive, member, folder))
                if not wanted:
                    return

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Damage of the archive itself in words; of a file in it the file is refused."""
        try:
            yield
        except DAMAGES as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # trouble of the disk, not of the archive
            raise BadInputError(
                "the archive cannot be read",
                got=f"{self.path}: {type(error).__name__}: {first_line(error)}",
                allowed=f"a whole archive: {', '.join(ENDINGS)}",
                fix="copy or download it again",
            ) from error


def _from_zip(archive: zipfile.ZipFile, listed: Sequence[Listed]) -> Iterator[FaceInput]:
    members = archive.infolist()
    for one in listed:
        yield FaceInput(one.name, one.identity, partial(_read_zipped, archive, members[unpack(one.key)["at"]]))


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for at, info in enumerate(archive.infolist()):
            if not is_folder(info):
                yield _Member(_inside(info.filename), f"{info.file_size}-{info.CRC:08x}", at, info.file_size, True)


def _tar_members(path: Path) -> Iterator[_Member]:
    when = stamp(path)
    # Not as a stream ("r|*"), which stumbles over optional fields of gzip's header: python/cpython#107398.
    with tarfile.open(path) as archive:
        for info in archive:
            archive.members.clear()  # type: ignore[attr-defined] # it would keep what it has seen
            if not info.isdir():
                etag = etag_of(when, info.offset_data, info.size)
                yield _Member(_inside(info.name), etag, info.offset_data, info.size, info.isreg())


def _inside(name: str) -> str:
    """The path of a member, of whatever its writer made of it, as one inside the archive."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    return "/".join(parts).encode("utf-8", "backslashreplace").decode() or "unnamed"


def _is_plain_tar(path: Path) -> bool:
    with contextlib.suppress(tarfile.TarError), tarfile.open(path, "r:"):
        return True
    return False


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits) -> bytes:
    check_bytes(info.file_size, limits)
    try:
        with archive.open(info) as file:
            content = file.read(limits.max_bytes + 1)
    except RuntimeError as error:  # encrypted, or compressed in a way that is not read here
        raise UndecodableError("unreadable", got=f"{info.filename}: {error}") from error
    except DAMAGES as error:
        raise UndecodableError("corrupt", got=f"{info.filename}: {error}") from error
    check_bytes(len(content), limits)
    return content


def _read_at(file: IO[bytes], facts: dict[str, Any], limits: Limits) -> bytes:
    if not facts["regular"]:
        raise UndecodableError("not_a_file", got="a link in the archive")
    check_bytes(facts["size"], limits)
    content = os.pread(file.fileno(), facts["size"], facts["at"])
    if len(content) < facts["size"]:
        raise UndecodableError("truncated", got=f"{len(content)} of {facts['size']} bytes")
    return content


def _spooled(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> Any:
    if not member.isreg():
        return _refuse_link
    path = folder / str(member.offset_data)
    content = archive.extractfile(member)
    with path.open("wb") as file:
        while content is not None and (piece := content.read(1 << 20)):
            file.write(piece)
    return partial(_read_spooled, path)


def _read_spooled(path: Path, limits: Limits) -> bytes:
    try:
        return read_file(path, limits)
    finally:
        path.unlink()


def _refuse_link(_limits: Limits) -> bytes:
    raise UndecodableError("not_a_file", got="a link in the archive")
