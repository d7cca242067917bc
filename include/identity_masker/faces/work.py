"""Unfinished work in the store: plans of ingestions, and the blocks that were read for them.

`<store>/datasets/NAME/work/plans/ID` and `…/work/blocks/KEY`. Each is whole once its document is there, which is
written last; its files carry checksums. What is in it is named by what it was made from, so whoever does a piece of
work a second time, or at the same time, writes the same.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import NotFoundError, TemporaryError
from identity_masker.faces.data_repository import stored_files
from identity_masker.faces.versions import StoredFile, VersionStore

DONE = "done.json"
ABANDONED_SECONDS = 7 * 24 * 3600.0
"""Work that nobody finished is removed after this time: it holds faces."""


class Done(BaseModel):
    """The files of a finished piece of work, by path, and when it was finished (seconds since 1970)."""

    model_config = ConfigDict(frozen=True)

    files: dict[str, StoredFile]
    at: float
    document: dict[str, object] = {}


class Work:
    """The unfinished work on the dataset `name`."""

    def __init__(self, versions: VersionStore, name: str) -> None:
        self._root = versions.uri(name, "work")

    def plan_uri(self, plan_id: str) -> str:
        return artifacts.join(self._root, "plans", plan_id)

    def block_uri(self, key: str) -> str:
        return artifacts.join(self._root, "blocks", key)

    def clear(self, plan_id: str, blocks: list[str]) -> None:
        """Remove a plan that was carried out, its blocks, and what others abandoned."""
        for uri in [self.plan_uri(plan_id), *map(self.block_uri, blocks)]:
            remove(uri)
        for kind in ("plans", "blocks"):
            for name in artifacts.names(artifacts.join(self._root, kind)):
                _remove_abandoned(artifacts.join(self._root, kind, name))


def keep(uri: str, folder: Path, document: dict[str, object] | None = None) -> None:
    """Store the files of `folder` as a finished piece of work at `uri`, with `document`."""
    files = stored_files(folder)
    for path in files:
        artifacts.put_file(artifacts.join(uri, path), folder / path)
    done = Done(files=files, at=time.time(), document=document or {})
    artifacts.write_json(artifacts.join(uri, DONE), done.model_dump(mode="json"))


def finished(uri: str) -> Done | None:
    """What is at `uri`; None while it is not finished."""
    try:
        return artifacts.read_model(Done, artifacts.join(uri, DONE))
    except NotFoundError:
        return None


def take(uri: str, done: Done, folder: Path, only: list[str] | None = None) -> None:
    """Bring the files of `done`, or `only` some, into `folder`; links where `uri` is a folder on the same disk.

    Raises `NotFoundError` when they are gone, `TemporaryError` when they are not those that were written.
    """
    for path in only or done.files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        bring(artifacts.join(uri, path), target)
        if artifacts.sha256_file(target) != done.files[path].sha256:
            raise TemporaryError("unfinished work in the store is damaged", got=f"{uri}/{path}", fix="run again")


def bring(uri: str, target: Path) -> None:
    """A link to the file at `uri`, which nobody may write to any more, or a copy where there can be none."""
    if artifacts.is_local(uri):
        try:
            os.link(uri.removeprefix("file://"), target)
        except FileExistsError:
            return
        except OSError:
            # Another disk, or one without links: the copy below says so when the file is missing.
            pass
        else:
            return
    artifacts.get_file(uri, target)


def remove(uri: str) -> None:
    """Remove a piece of work, its document first: from then on it is not finished."""
    artifacts.remove(artifacts.join(uri, DONE))
    artifacts.remove(uri)


def _remove_abandoned(uri: str) -> None:
    done = finished(uri)
    at = done.at if done else artifacts.modified(uri)
    if at is not None and time.time() - at > ABANDONED_SECONDS:
        remove(uri)
