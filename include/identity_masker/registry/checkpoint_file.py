"""A training's checkpoint in the store, wherever the store is: the next attempt may run on another machine."""

from __future__ import annotations

from pathlib import Path

from identity_masker import artifacts
from identity_masker.errors import NotFoundError


class CheckpointFile:
    """`path` is a local file; `publish` brings it to the store when it has changed.

    With a folder as the store both are the same file.
    """

    def __init__(self, uri: str, work: Path) -> None:
        self._uri = uri
        self._local = artifacts.is_local(uri)
        self.path = Path(artifacts.split(uri)[1]) if self._local else work / "checkpoint.pt"
        self._published = 0
        if not self._local:
            self._fetch()

    def publish(self) -> None:
        if self._local or not self.path.exists():
            return
        changed = self.path.stat().st_mtime_ns
        if changed != self._published:
            artifacts.write_bytes(self._uri, self.path.read_bytes())
            self._published = changed

    def remove(self) -> None:
        """Delete the stored file: its training has ended and left a model."""
        system, path = artifacts.split(self._uri)
        if system.exists(path):
            system.rm(path)

    def _fetch(self) -> None:
        try:
            content = artifacts.read_bytes(self._uri)
        except NotFoundError:
            return
        artifacts.write_bytes(str(self.path), content)
        self._published = self.path.stat().st_mtime_ns
