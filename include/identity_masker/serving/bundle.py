"""Several pictures in one body: a form, a zip or a tar; and the archive that they come back in.

Everything stays in memory and is bounded before it is unpacked: the number of files, the bytes of each and of all.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from identity_masker.faces.archive_damage import DAMAGES, is_folder
from identity_masker.serving.problem import HttpError

ZIP, TAR, GZIP, FORM = "application/zip", "application/x-tar", "application/gzip", "multipart/form-data"
KINDS = (ZIP, TAR, GZIP, FORM)
ALIASES = {"application/x-zip-compressed": ZIP, "application/tar": TAR, "application/x-gzip": GZIP}
TAR_BYTES = 1 << 20
"""Of the headers and the padding of a tar."""

_HIDDEN = ("__MACOSX/", ".")


class Entry(NamedTuple):
    """A file of a bundle."""

    name: str
    content: bytes


class BundleLimits(NamedTuple):
    """What one bundle may hold."""

    files: int
    file_bytes: int
    bytes: int


def kind_of(content_type: str | None) -> str | None:
    """The kind of bundle that a Content-Type names, or None."""
    media = (content_type or "").split(";", 1)[0].strip().lower()
    media = ALIASES.get(media, media)
    return media if media in KINDS else None


async def unpack_form(content_type: str, body: bytes, limits: BundleLimits) -> list[Entry]:
    """The files of a form, in order. Raises `HttpError` as `unpack`."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    headers = Headers({"content-type": content_type})
    parser = MultiPartParser(headers, stream(), max_files=limits.files, max_fields=limits.files)
    parser.spool_max_size = len(body) + 1  # no picture ever goes to a disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise _unreadable(FORM, str(getattr(error, "message", error))) from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        return _found([Entry(file.filename or f"{row}", await file.read()) for row, file in enumerate(files)])
    finally:
        await form.close()


def unpack(kind: str, body: bytes, limits: BundleLimits) -> list[Entry]:
    """The files of an archive, in order, without folders and hidden files.

    Raises `HttpError`: 413 for more than `limits`, 422 for what is not such an archive, or an empty one.
    """
    try:
        if kind == GZIP:
            with gzip.GzipFile(fileobj=io.BytesIO(body)) as inner:
                body = _bounded(inner, limits.bytes + TAR_BYTES)
        files = _zipped(body, limits) if kind == ZIP else _tarred(body, limits)
        return _found(list(_within(files, limits)))
    except RuntimeError as error:  # what zipfile raises for an encrypted file
        raise _unreadable(kind, str(error).partition(":")[0]) from error
    except DAMAGES as error:
        raise _unreadable(kind, str(error)) from error


def pack(kind: str, entries: Sequence[Entry]) -> bytes:
    """An archive: a zip, or for a tar, zipped or not, a tar. Pictures do not shrink, so nothing is compressed."""
    target = io.BytesIO()
    if kind not in (TAR, GZIP):
        with zipfile.ZipFile(target, "w") as archive:
            for entry in entries:
                archive.writestr(zipfile.ZipInfo(entry.name), entry.content)
        return target.getvalue()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.size = len(entry.content)
            tar.addfile(info, io.BytesIO(entry.content))
    return target.getvalue()


def packed_kind(kind: str) -> str:
    """The media type of what `pack` makes."""
    return TAR if kind in (TAR, GZIP) else ZIP


def safe_name(name: str) -> str:
    """`name` as a relative path that stays in its folder."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts)[:200] or "picture"


def _zipped(body: bytes, limits: BundleLimits) -> Iterator[Entry]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        for info in archive.infolist():
            if not is_folder(info):
                with archive.open(info) as file:
                    yield Entry(info.filename, _bounded(file, limits.file_bytes))


def _tarred(body: bytes, limits: BundleLimits) -> Iterator[Entry]:
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:") as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            if file is not None:
                yield Entry(info.name, _bounded(file, limits.file_bytes))


def _within(files: Iterator[Entry], limits: BundleLimits) -> Iterator[Entry]:
    count = size = 0
    for name, content in files:
        clean = safe_name(name)
        if name.startswith(_HIDDEN[0]) or clean.rpartition("/")[2].startswith(_HIDDEN[1]):
            continue
        count, size = count + 1, size + len(content)
        if count > limits.files:
            raise _too_large(f"more than {limits.files} files", f"at most {limits.files}")
        if size > limits.bytes:
            raise _too_large(f"more than {limits.bytes} bytes unpacked", f"at most {limits.bytes}")
        yield Entry(clean, content)


def _bounded(file: IO[bytes] | gzip.GzipFile, most: int) -> bytes:
    content = file.read(most + 1)
    if len(content) > most:
        raise _too_large(f"more than {most} bytes unpacked", f"at most {most}")
    return content


def _found(entries: list[Entry]) -> list[Entry]:
    """With a name for each that no other has."""
    if not entries:
        raise HttpError(
            422, "empty_bundle", "there is no file in the body", allowed="at least one picture file", fix="put some in"
        )
    seen: set[str] = set()
    named = []
    for row, (name, content) in enumerate(entries):
        clean = safe_name(name)
        unique = clean if clean not in seen else f"{row}-{clean.rpartition('/')[2]}"
        seen.add(unique)
        named.append(Entry(unique, content))
    return named


def _too_large(got: str, allowed: str) -> HttpError:
    return HttpError(
        413, "bundle_too_large", "the bundle holds too much", got=got, allowed=allowed, fix="send several smaller ones"
    )


def _unreadable(kind: str, got: str) -> HttpError:
    return HttpError(
        422, "bundle_unreadable", f"the body cannot be read as {kind}", got=got[:200], allowed="a whole one, without "
        "a password", fix="make it again, or send the pictures one by one",
    )  # fmt: skip
