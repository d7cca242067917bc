"""Loads models for a server, each into a process of its own."""

from __future__ import annotations

from collections.abc import Callable

from identity_masker import artifacts
from identity_masker.serving.engine.isolated import IsolatedMasker
from identity_masker.serving.model import Fetched, ServedModel


class Loader:
    """What one reference means. Called again, it loads only what has become another model, or has died."""

    def __init__(self, fetch: Callable[[], Fetched], *, threads: int, largest: int) -> None:
        """`largest`: bytes of the pictures of one call."""
        self._fetch, self._threads, self._largest = fetch, threads, largest
        self._last: ServedModel | None = None

    def __call__(self) -> ServedModel:
        """Raises what `fetch` and loading raise."""
        fetched = self._fetch()
        digest = artifacts.sha256_folder(fetched.folder)
        last = self._last
        if last is not None and last.alive() and (last.version, last.sha256) == (fetched.version, digest):
            return last
        masker = IsolatedMasker(fetched.folder, threads=self._threads, largest=self._largest)
        self._last = ServedModel(
            masker, fetched.version, fetched.name(digest), digest, alive=lambda: masker.alive, close=masker.close
        )
        return self._last
