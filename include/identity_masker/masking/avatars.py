"""The fictitious faces, and which of them a key gets."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from identity_masker.faces.render import people
from identity_masker.masking.avatar_keys import avatar_of


def table(seed: int, count: int) -> Tensor:
    """(count, traits) in [0, 1): people of the world of `seed`, a world that no dataset is drawn from."""
    return people.numbers(seed, np.arange(count, dtype=np.int64))


class AvatarBook:
    """`count` people of the world of `seed`."""

    def __init__(self, seed: int, count: int, secret: str) -> None:
        self.count = count
        self._numbers = table(seed, count)
        self._secret = secret.encode()

    def index(self, key: str) -> int:
        """The avatar of `key`."""
        return avatar_of(key, self._secret, self.count)

    def numbers(self, keys: list[str]) -> Tensor:
        """(N, traits) in [0, 1): the avatars of the keys."""
        return self._numbers[[self.index(key) for key in keys]]
