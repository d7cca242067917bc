"""Signs what goes to a webhook, and checks it on the other side."""

from __future__ import annotations

import hashlib
import hmac
import re

from pydantic import SecretStr

TIMESTAMP, SIGNATURE, DELIVERY = "X-Masker-Timestamp", "X-Masker-Signature", "X-Masker-Delivery"
TOLERANCE_SECONDS = 300

_DIGITS = re.compile("[0-9]{1,18}")


def sign(secret: SecretStr, timestamp: int, body: bytes) -> str:
    """`v1=` and the hex of HMAC-SHA256 (RFC 2104) over `TIMESTAMP.BODY`.

    The time is signed too: who records a message cannot send it again later.
    """
    signed = b"%d.%s" % (timestamp, body)
    return "v1=" + hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()


def verified(secret: SecretStr, timestamp: str, body: bytes, given: str, now: float) -> bool:
    """Whether `given` is the signature of `body`, made at most `TOLERANCE_SECONDS` from `now` (seconds since 1970)."""
    if not _DIGITS.fullmatch(timestamp) or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    return hmac.compare_digest(sign(secret, int(timestamp), body).encode(), given.encode())
