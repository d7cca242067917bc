"""Tokens that were taken back before their end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from identity_masker.security.keys import SKEW
from identity_masker.serving import schema
from identity_masker.serving.control import Control

FRESH_SECONDS = 0.5
"""With the half second for which a guard believes a token, a revocation holds within a second."""


class Revocations:
    """The list in the control database, read again twice a second. Safe to use from several threads."""

    def __init__(self, control: Control, *, clock: Callable[[], float] = time.time) -> None:
        self._control = control
        self._clock = clock
        self._lock = threading.Lock()
        self._revoked: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def __call__(self, token_id: str) -> bool:
        """Whether the token was revoked. Raises `TemporaryError` when the control database does not answer."""
        with self._lock:
            now = self._clock()
            if not 0.0 <= now - self._read_at < FRESH_SECONDS:
                self._revoked, self._read_at = self._read(), now
            return token_id in self._revoked

    def add(self, token_id: str, *, expires_at: float, author: str, reason: str) -> bool:
        """Revoke a token; False when it was revoked before. Rows of tokens past their end are removed."""
        columns = schema.revoked_tokens.c
        row = {
            "token_id": token_id, "expires_at": expires_at, "author": author, "reason": reason,
            "revoked_at": schema.utc_now(),
        }  # fmt: skip
        try:
            with self._control.transaction() as connection:
                connection.execute(delete(schema.revoked_tokens).where(columns.expires_at < self._clock() - 2 * SKEW))
                connection.execute(insert(schema.revoked_tokens), row)
        except IntegrityError:
            return False
        return True

    def _read(self) -> frozenset[str]:
        with self._control.transaction() as connection:
            return frozenset(connection.execute(select(schema.revoked_tokens.c.token_id)).scalars())
