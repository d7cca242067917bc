"""The errors of the project and the exit code that each one means for a step.

Airflow and Kubernetes see only the exit code: 2 is never retried, 75 is retried with back-off
(`EX_TEMPFAIL` of sysexits.h), 1 is everything else.
"""

from __future__ import annotations


class MaskerError(Exception):
    """Base of all errors that the project raises on purpose.

    A message reads: what was wrong (`what`), what was found (`got`), what is allowed (`allowed`) and what
    to do about it (`fix`).
    """

    exit_code = 1

    def __init__(self, what: str, *, got: object = None, allowed: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.got = got
        self.allowed = allowed
        self.fix = fix
        super().__init__(self._text())

    def _text(self) -> str:
        parts = [self.what.rstrip(".")]
        if self.got is not None:
            parts.append(f"got {self.got}")
        if self.allowed:
            parts.append(f"expected {self.allowed.rstrip('.')}")
        if self.fix:
            parts.append(f"to fix: {self.fix.rstrip('.')}")
        return "; ".join(parts) + "."


class BadInputError(MaskerError):
    """The input or the configuration is wrong; trying again cannot help."""

    exit_code = 2


class NotFoundError(BadInputError):
    """Something named by the caller (a dataset version, a model, a file) does not exist."""


class ConflictError(BadInputError):
    """The state has changed since it was read, or another process holds the resource."""


class UnauthenticatedError(BadInputError):
    """Nobody knows who asks: there is no token, or it is not valid. `reason` is a short code for programs."""

    def __init__(self, reason: str, what: str, *, got: object = None, allowed: str | None = None, fix: str) -> None:
        self.reason = reason
        super().__init__(what, got=got, allowed=allowed, fix=fix)


class ForbiddenError(BadInputError):
    """It is known who asks, and they may not."""


class TemporaryError(MaskerError):
    """A service did not answer or a resource is full; trying again later may help."""

    exit_code = 75
