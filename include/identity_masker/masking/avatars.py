"""The fictitious faces, and which of them a key gets."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
from torch import Tensor

from identity_masker.faces.render import people


class AvatarBook:
    """`count` people of the world of `seed`, a world that no dataset is drawn from."""

    def __init__(self, seed: int, count: int, secret: str) -> None:
        self.count = count
        self._numbers = people.numbers(seed, np.arange(count, dtype=np.int64))
        self._secret = secret.encode()

    def index(self, key: str) -> int:
        """The avatar of `key`: HMAC-SHA256 with the secret, so that nobody else can tell which keys share one."""
        digest = hmac.new(self._secret, key.encode(), hashlib.sha256).digest()
        return int.from_bytes(digest[:8], "big") % self.count

    def numbers(self, keys: list[str]) -> Tensor:
        """(N, traits) in [0, 1): the avatars of the keys."""
        return self._numbers[[self.index(key) for key in keys]]
