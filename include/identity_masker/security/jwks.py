"""Public keys from where they are published: the folder of the signing keys, a file, or an address."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from identity_masker.errors import TemporaryError
from identity_masker.security.keys import KeyFolder

FRESH_SECONDS = 60.0
"""How long keys that were read are believed: a key that was removed is refused after this time at most."""

ASK_AGAIN_SECONDS = 5.0
"""A token with a key that is not known makes the keys be read again, but not more often than this."""

READ_SECONDS = 5.0


class Published:
    """The keys at `source`, kept for a minute. Safe to use from several threads."""

    def __init__(self, source: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`source`: a folder of signing keys, a file with a JSON Web Key Set, or its http(s) address."""
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Mapping[str, Any]] = {}
        self._read_at = float("-inf")

    def find(self, kid: str) -> Mapping[str, Any] | None:
        """The key, or None. Raises `TemporaryError` when the keys cannot be read and were not read before."""
        with self._lock:
            age = self._clock() - self._read_at
            if age > FRESH_SECONDS or (kid not in self._keys and age > ASK_AGAIN_SECONDS):
                self._refresh()
            return self._keys.get(kid)

    def _refresh(self) -> None:
        try:
            document = _document(self._source)
            self._keys = {key["kid"]: key for key in document["keys"] if isinstance(key.get("kid"), str)}
        except (OSError, httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            if not self._keys:
                raise TemporaryError(
                    "the public keys cannot be read",
                    got=f"{self._source}: {type(error).__name__}",
                    fix="set MASKER_JWKS",
                ) from error
        self._read_at = self._clock()


def _document(source: str) -> dict[str, Any]:
    if source.startswith(("http://", "https://")):
        found: dict[str, Any] = httpx.get(source, timeout=READ_SECONDS).raise_for_status().json()
        return found
    path = Path(source.removeprefix("file://"))
    if path.is_file():
        return dict(json.loads(path.read_text()))
    return KeyFolder(path).jwks()
