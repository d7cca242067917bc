"""Files of the store as local paths: those of an object store are copied once for as long as they stay the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from identity_masker import artifacts
from identity_masker.telemetry.events.kinds import Kind


class LocalCopies:
    """Copies in a folder; those that are no longer asked for are removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fingerprint(self, uris: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Changes whenever one of the files does."""
        return tuple((uri, _state(uri)) for uri in uris)

    def paths(self, uris: Mapping[Kind, Sequence[str]]) -> dict[Kind, list[Path]]:
        """A local path for each URI. Raises `TemporaryError` when the store does not answer."""
        found = {kind: [self._path(uri) for uri in each] for kind, each in uris.items()}
        self._forget({path for each in found.values() for path in each})
        return found

    def _path(self, uri: str) -> Path:
        if artifacts.is_local(uri):
            return Path(artifacts.split(uri)[1])
        target = self._folder / f"{artifacts.sha256(f'{uri} {_state(uri)}'.encode())}.parquet"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            artifacts.get_file(uri, target)
        return target

    def _forget(self, kept: set[Path]) -> None:
        for path in self._folder.glob("*.parquet"):
            if path not in kept:
                path.unlink(missing_ok=True)


def _state(uri: str) -> str:
    system, path = artifacts.split(uri)
    info = system.info(path)
    return f"{info.get('size')} {info.get('ETag') or info.get('mtime')}"
