"""Which fictitious face a key gets. Imports no torch."""

from __future__ import annotations

import hashlib
import hmac


def avatar_of(key: str, secret: bytes, count: int) -> int:
    """The avatar of `key`, below `count`: HMAC-SHA256 with the secret, so that nobody else can tell which keys share
    one."""
    digest = hmac.new(secret, key.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") % count
