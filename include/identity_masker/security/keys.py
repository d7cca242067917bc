"""The keys that tokens are signed with: Ed25519, a folder of them, rotated with overlap.

A new key is published at once and signs after `LEAD`, when every verifier has read it; an old one stays published until
the last token that it signed has expired.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from identity_masker import artifacts
from identity_masker.errors import BadInputError, ConflictError

LEAD = 300.0
"""Seconds between the publication of a key and its first signature."""

LONGEST_LIFE = 366 * 86_400.0
"""Seconds that a token may be valid at most."""

SKEW = 60.0


class SigningKey(NamedTuple):
    """A private key. `created`: seconds since 1970."""

    kid: str
    created: float
    private: Ed25519PrivateKey

    def public_jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key (RFC 8037)."""
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": _text(raw), "kid": self.kid, "use": "sig", "alg": "EdDSA"}


class KeyFolder:
    """The signing keys in a folder that only their owner reads."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def keys(self) -> list[SigningKey]:
        """All keys, oldest first. Raises `BadInputError` for a file that is not a key."""
        return sorted(map(_read, self._folder.glob("*.key.json")), key=lambda key: key.created)

    def signing(self) -> SigningKey:
        """The key that signs now: the newest that is published long enough; the first one ever is made here."""
        keys = self.keys() or [self.add()]
        ready = [key for key in keys if key.created + LEAD <= self._clock()]
        return ready[-1] if ready else keys[0]

    def add(self) -> SigningKey:
        """A new key, published at once."""
        private = Ed25519PrivateKey.generate()
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        key = SigningKey(hashlib.sha256(public).hexdigest()[:16], self._clock(), private)
        self._write(key, raw)
        return key

    def rotate(self) -> tuple[SigningKey, list[str]]:
        """A new key, and the ids of keys that were removed: no token that they signed can still be valid.

        Raises `ConflictError` while an earlier new key waits to be known everywhere.
        """
        keys = self.keys()
        if keys and keys[-1].created + LEAD > self._clock() and len(keys) > 1:
            raise ConflictError(
                "a new key is on its way already",
                got=f"{keys[-1].kid}, signs from {LEAD:g} s after its making on",
                fix="wait until it signs",
            )
        removed = [key.kid for key, after in pairwise(keys) if self._over(after)]
        for kid in removed:
            (self._folder / f"{kid}.key.json").unlink(missing_ok=True)
        return self.add(), removed

    def _over(self, successor: SigningKey) -> bool:
        return successor.created + LEAD + LONGEST_LIFE + SKEW < self._clock()

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JSON Web Key Set (RFC 7517)."""
        return {"keys": [key.public_jwk() for key in self.keys()]}

    def _write(self, key: SigningKey, raw: bytes) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._folder / f"{key.kid}.key.json"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump({"kid": key.kid, "created": key.created, "d": _text(raw)}, file)
        except OSError as error:
            raise artifacts.disk_error(error, self._folder) from error


def _read(path: Path) -> SigningKey:
    try:
        document = json.loads(path.read_text())
        private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(document["d"] + "=="))
        return SigningKey(str(document["kid"]), float(document["created"]), private)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError("this file is not a signing key", got=str(path), fix="restore it, or remove it") from error


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
