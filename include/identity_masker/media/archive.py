"""Archives: which files are in one, their content, and a new one of the same form."""

from __future__ import annotations

import errno
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from identity_masker.errors import BadInputError
from identity_masker.faces.archive_damage import DAMAGES, first_line, is_folder

EXTENSIONS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")


class Archive:
    """A ZIP or tar file opened for reading. Links, devices and paths that lead out of it are not there."""

    def __init__(self, file: zipfile.ZipFile | tarfile.TarFile) -> None:
        self._file = file
        self._entries: dict[str, zipfile.ZipInfo | tarfile.TarInfo] = {}
        for entry in file.infolist() if isinstance(file, zipfile.ZipFile) else file.getmembers():
            name = entry.filename if isinstance(entry, zipfile.ZipInfo) else entry.name
            pure = PurePosixPath(name)
            if _is_file(entry) and pure.parts and not pure.is_absolute() and ".." not in pure.parts:
                self._entries[name] = entry

    def names(self) -> list[str]:
        return sorted(self._entries)

    def size(self, name: str) -> int:
        """Bytes of the unpacked entry, as the archive says."""
        entry = self._entries[name]
        return entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size

    def read(self, name: str, most: int) -> bytes:
        """The first `most` bytes of an entry; whatever the archive says of its size, no more are unpacked.

        Raises `BadInputError` for an entry that is damaged or encrypted.
        """
        with _damage("the file in the archive cannot be read", name):
            return self._read(self._entries[name], most)

    def _read(self, entry: zipfile.ZipInfo | tarfile.TarInfo, most: int) -> bytes:
        if isinstance(entry, zipfile.ZipInfo):
            assert isinstance(self._file, zipfile.ZipFile)  # noqa: S101 - entries are of their file
            with self._file.open(entry) as file:
                return file.read(most)
        assert isinstance(self._file, tarfile.TarFile)  # noqa: S101
        member = self._file.extractfile(entry)
        return b"" if member is None else member.read(most)


def _is_file(entry: zipfile.ZipInfo | tarfile.TarInfo) -> bool:
    if isinstance(entry, tarfile.TarInfo):
        return entry.isfile()
    mode = entry.external_attr >> 16
    return not is_folder(entry) and (not mode or not stat.S_IFMT(mode) or stat.S_ISREG(mode))


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Raises `BadInputError` for a file that is no archive or is damaged."""
    with ExitStack() as stack:
        with _damage("the archive cannot be read", path.name):
            file = _file(path)
            stack.callback(file.close)
            found = Archive(file)
        yield found


def _file(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    return zipfile.ZipFile(path) if path.name.lower().endswith(".zip") else tarfile.open(path)


@contextmanager
def _damage(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except DAMAGES as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # trouble of the disk; a damaged place in the archive is an invalid one
        raise BadInputError(
            what,
            got=f"{name}: {first_line(error)}",
            allowed=f"a whole archive without a password: {', '.join(EXTENSIONS)}",
            fix="make or copy it again",
        ) from error


def pack(folder: Path, names: Sequence[str], target: Path) -> None:
    """Write the files `names` of `folder` as the archive `target`, in its form."""
    lower = target.name.lower()
    if lower.endswith(".zip"):
        with zipfile.ZipFile(target, "w") as packed:  # pictures are compressed already
            for name in names:
                packed.write(folder / name, name)
        return
    kind = {"gz": "w:gz", "tgz": "w:gz", "xz": "w:xz", "bz2": "w:bz2"}.get(lower.rpartition(".")[2], "w")
    with tarfile.open(target, kind) as rolled:  # type: ignore[call-overload]
        for name in names:
            rolled.add(folder / name, name)
