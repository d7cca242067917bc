"""Who a user is in everything that is written: a keyed hash, the unit."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache


@lru_cache(maxsize=4096)
def unit(key: str, user: str) -> str:
    """32 hexadecimal digits of HMAC-SHA256. Without the key nobody can tell whether a user is in the log."""
    return hmac.digest(key.encode(), user.encode(), hashlib.sha256).hex()[:32]
