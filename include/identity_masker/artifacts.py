"""URIs to files: reading, atomic writing and hashing, on a folder or an object store, through fsspec."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
from fsspec import AbstractFileSystem

from identity_masker.documents import Model, validated
from identity_masker.errors import BadInputError, NotFoundError, TemporaryError

CHUNK_BYTES = 1 << 20
_RESTORE = "restore it from the backup of the store, or delete it where it can be made again"


def split(uri: str) -> tuple[AbstractFileSystem, str]:
    """The file system of `uri` and the path in it. Raises `BadInputError` for a store of an unknown kind."""
    try:
        system, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise BadInputError(
            "the URI leads to a kind of store that is not read here",
            got=f"{uri}: {error}",
            allowed="s3://…, file://… or a path",
            fix="copy the file to such a place, or install the file system of fsspec that reads it",
        ) from error
    return system, cast(str, path)


def is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file://")


def join(uri: str, *parts: str) -> str:
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def exists(uri: str) -> bool:
    system, path = split(uri)
    with _reaching(uri):
        return bool(system.exists(path))


def read_bytes(uri: str) -> bytes:
    """The content of `uri`. Raises `NotFoundError` when there is nothing there."""
    system, path = split(uri)
    try:
        with _reaching(uri):
            return cast(bytes, system.cat_file(path))
    except FileNotFoundError as error:
        raise NotFoundError("a stored file is missing", got=uri, fix="check the URI and MASKER_STORE_URI") from error


def read_at_most(uri: str, limit: int) -> bytes:
    """The first `limit` bytes of `uri`. Raises `FileNotFoundError` when there is nothing there."""
    system, path = split(uri)
    with _reaching(uri), system.open(path, "rb", cache_type="none", block_size=limit) as file:
        return cast(bytes, file.read(limit))


def etags(uri: str) -> dict[str, str]:
    """What changes with the content of each file directly under `uri`, by its name; empty when there is none."""
    system, path = split(uri)
    system.invalidate_cache()
    try:
        with _reaching(uri):
            found = system.ls(path, detail=True)
    except FileNotFoundError:
        return {}
    marks = ("ETag", "size", "mtime", "LastModified")
    return {
        entry["name"].rsplit("/", 1)[-1]: repr([entry[mark] for mark in marks if mark in entry])
        for entry in found
        if entry["type"] == "file"
    }


def write_bytes(uri: str, content: bytes) -> None:
    """Write `uri` whole or not at all: a reader never sees half of it.

    A folder gets a temporary file, synced and renamed over the target; an object store makes single puts
    atomic by itself. Raises `TemporaryError` when the disk is full.
    """
    system, path = split(uri)
    if not is_local(uri):
        with _reaching(uri):
            system.pipe_file(path, content)
        return
    with _replacing(Path(path)) as file:
        file.write(content)


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `target` when the block ends well, and is removed when it does not."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        # The path may lead through a file; then there is nothing to remove.
        with contextlib.suppress(NotADirectoryError):
            partial.unlink(missing_ok=True)
        raise disk_error(error, target) from error


def create_bytes(uri: str, content: bytes) -> bool:
    """Write `uri` only if nothing is there yet, in one step: of several writers exactly one gets True."""
    system, path = split(uri)
    if not is_local(uri):
        with _reaching(uri):
            return _create_object(system, path, content)
    target = Path(path)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    write_bytes(str(partial), content)
    try:
        target.hardlink_to(partial)
    except FileExistsError:
        return False
    except OSError as error:
        raise disk_error(error, target) from error
    finally:
        partial.unlink(missing_ok=True)
    return True


def _create_object(system: AbstractFileSystem, path: str, content: bytes) -> bool:
    try:
        system.pipe_file(path, content, mode="create")
    except OSError:
        # Servers differ in how they refuse (412 with or without the condition's name, 409): look.
        system.invalidate_cache()
        if system.exists(path):
            return False
        raise
    return True


def names(uri: str) -> list[str]:
    """The names of what lies directly under `uri`, sorted; empty when nothing does."""
    system, path = split(uri)
    system.invalidate_cache()
    try:
        with _reaching(uri):
            found = system.ls(path, detail=False)
    except FileNotFoundError:
        return []
    return sorted(name for entry in found if not (name := entry.rstrip("/").rsplit("/", 1)[-1]).startswith("."))


def tree(uri: str) -> list[str]:
    """All files under `uri`, sorted: paths of a folder, URIs of an object store; empty when there are none."""
    system, path = split(uri)
    system.invalidate_cache()
    try:
        with _reaching(uri):
            found = system.find(path)
    except FileNotFoundError:
        return []
    visible = sorted(name for name in found if not name.rsplit("/", 1)[-1].startswith("."))
    return visible if is_local(uri) else [cast(str, system.unstrip_protocol(name)) for name in visible]


def modified(uri: str) -> float | None:
    """When the newest file under `uri` was written, in seconds since 1970; None when there is none."""
    system, _ = split(uri)
    with _reaching(uri):
        times = [system.modified(name).timestamp() for name in tree(uri)]
    return max(times, default=None)


def put_file(uri: str, source: Path) -> None:
    """Store the file `source` as `uri`, whole or not at all, in memory of one chunk.

    Raises `TemporaryError` when the disk is full.
    """
    system, path = split(uri)
    if not is_local(uri):
        with _reaching(uri):
            system.put_file(str(source), path)
        return
    with source.open("rb") as given, _replacing(Path(path)) as file:
        shutil.copyfileobj(given, file, CHUNK_BYTES)


def get_file(uri: str, target: Path) -> None:
    """Copy `uri` to the file `target`. Raises `NotFoundError` when there is nothing there."""
    system, path = split(uri)
    try:
        with _reaching(uri):
            system.get_file(path, str(target))
    except FileNotFoundError as error:
        raise NotFoundError("a stored file is missing", got=uri, fix="check the URI and MASKER_STORE_URI") from error


def remove(uri: str) -> None:
    """Remove `uri` and all that lies under it; what is not there is not missed."""
    system, path = split(uri)
    with contextlib.suppress(FileNotFoundError), _reaching(uri):
        system.rm(path, recursive=True)


@contextlib.contextmanager
def _reaching(uri: str) -> Iterator[None]:
    """Failures of an object store in words; what does not exist stays a FileNotFoundError for the caller to name."""
    if is_local(uri):
        yield
        return
    # Imported by the file system of an s3:// URI; others fail with OSError alone.
    from botocore.exceptions import BotoCoreError, NoCredentialsError

    try:
        yield
    except FileNotFoundError as error:
        if "specified bucket does not exist" not in str(error):
            raise
        raise NotFoundError("the bucket does not exist", got=uri, fix="make it, or set MASKER_STORE_URI") from error
    except (PermissionError, NoCredentialsError) as error:
        raise BadInputError(
            "the store refuses access", got=f"{uri}: {error}", fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    except (OSError, BotoCoreError) as error:
        raise TemporaryError(
            "the store does not answer",
            got=f"{uri}: {error}",
            fix="check AWS_ENDPOINT_URL and the network, then run again",
        ) from error


def disk_error(error: OSError, target: Path) -> Exception:
    """`error` in words: a full disk is temporary, a forbidden or unusable path is bad input."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TemporaryError("no space left on the disk", got=f"writing {target}", fix="free space, then run again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return BadInputError("the path cannot be written", got=f"{target}: {error.strerror}", fix="choose another path")
    return error


def read_json(uri: str) -> Any:
    """Raises as `read_bytes` does, and `BadInputError` for what is no JSON."""
    content = read_bytes(uri)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInputError("a stored document is damaged", got=f"{uri}: {error}", fix=_RESTORE) from error


def read_model(model: type[Model], uri: str) -> Model:
    """The stored document as `model`. Raises as `read_json` does, and `BadInputError` for another document."""
    return validated(model, read_json(uri), "stored document", uri, fix=_RESTORE)


def write_json(uri: str, document: Any) -> None:
    write_bytes(uri, (json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_folder(folder: Path) -> str:
    """One hash over the relative names and contents of all files of `folder`, in sorted order."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()
