"""Tokens by which programs of this project know each other."""

from __future__ import annotations

import time
from collections.abc import Callable

from identity_masker.security.keys import KeyFolder
from identity_masker.security.tokens import issue

ROLE = "service"
LIFE_SECONDS = 600.0


class ServiceToken:
    """A token with the role `service`: short-lived and made anew where the signing keys are, else one that was given.

    Calling it gives the token of now, or None where neither keys nor a token are.
    """

    def __init__(
        self, name: str, keys: KeyFolder | None, given: str | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """`name`: the subject that logs and quotas know. `given`: for machines that hold no signing keys."""
        self._name, self._keys, self._given, self._clock = name, keys, given, clock
        self._token: str | None = given
        self._renew_at = 0.0

    def __call__(self) -> str | None:
        if self._keys is not None and self._clock() >= self._renew_at:
            now = self._clock()
            self._token = issue(self._keys, self._name, ROLE, seconds=LIFE_SECONDS, now=now).token
            self._renew_at = now + LIFE_SECONDS / 2
        return self._token
