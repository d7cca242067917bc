"""Who may ask a service for what: a permission for every route, and none for what is not listed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from fastapi import Request

from identity_masker.errors import ForbiddenError, TemporaryError, UnauthenticatedError
from identity_masker.security.roles import Principal, Roles
from identity_masker.security.tokens import Verifier
from identity_masker.serving.problem import HttpError, overloaded
from identity_masker.telemetry.http import Exchange

SCHEME = "bearer "
EVERYBODY = ""
"""The permission of routes that need no token."""

OPEN_ROUTES = {
    "/health/live": EVERYBODY,
    "/health/ready": EVERYBODY,
    "/docs": EVERYBODY,
    "/docs/start.js": EVERYBODY,
    "/docs/swagger-ui-bundle.js": EVERYBODY,
    "/docs/swagger-ui.css": EVERYBODY,
}
SERVER_PERMISSIONS = {
    "/v1/mask": "infer",
    "/v2": "infer",
    "/v2/models/{model}": "infer",
    "/v2/models/{model}/ready": "infer",
    "/v2/models/{model}/infer": "infer",
    "/v2/models/{model}/versions/{number}": "infer",
    "/v2/models/{model}/versions/{number}/ready": "infer",
    "/v2/models/{model}/versions/{number}/infer": "infer",
    "/v2/health/live": EVERYBODY,
    "/v2/health/ready": EVERYBODY,
    "/metrics": "metrics:read",
}
"""What a token has to give for each route of a model server: only programs of this project ask it."""

LONGEST_TOKEN = 4096
BELIEVED_SECONDS = 0.5
"""How long a token that was verified is not verified again: a revocation holds after this and its own reading."""

REMEMBERED = 10_000


class _Known(NamedTuple):
    """Who sent a token, and until when that is believed, by the monotonic clock."""

    principal: Principal
    until: float


class _Recent:
    """Tokens that were just verified, by their hash. Verifying one takes a thread and ten times as long."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def find(self, token: str) -> Principal | None:
        known = self._known.get(_digest(token))
        return known.principal if known is not None and time.monotonic() < known.until else None

    def add(self, token: str, principal: Principal) -> None:
        digest = _digest(token)
        self._known[digest] = _Known(principal, time.monotonic() + BELIEVED_SECONDS)
        self._known.move_to_end(digest)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Guard:
    """Refuses requests whose token does not give the permission of their route."""

    def __init__(self, verifier: Verifier, roles: Roles, permissions: Mapping[str, str]) -> None:
        """`permissions`: route → permission. A route that is neither here nor open is refused to everybody."""
        self._verifier = verifier
        self._roles = roles
        self._permissions = {**OPEN_ROUTES, **permissions}
        self._recent = _Recent()

    async def __call__(self, request: Request) -> None:
        """Raises `HttpError`: 401 without a valid token, 403 without the permission, 503 when neither can be told."""
        route = getattr(request.scope.get("route"), "path", "")
        permission = self._permissions.get(route)
        if permission == EVERYBODY:
            return
        exchange: Exchange = request.state.exchange
        try:
            token = _bearer(request.headers.get("authorization"))
            principal = self._recent.find(token)
            if principal is None:
                # Keys and revocations are read from files and the control database now and then.
                principal = await asyncio.to_thread(self._verifier.verify, token)
                self._recent.add(token, principal)
            request.state.principal = principal
            exchange.note(role=principal.role, token_id=principal.token_id)
            self._allow(principal, permission)
        except UnauthenticatedError as error:
            raise _unauthenticated(error) from error
        except ForbiddenError as error:
            raise HttpError(403, "forbidden", error.what, allowed=error.allowed, fix=error.fix or "") from error
        except TemporaryError as error:
            raise overloaded("it cannot be told now who asks", "auth_unavailable", seconds=2) from error

    def _allow(self, principal: Principal, permission: str | None) -> None:
        if permission is None:
            raise ForbiddenError("nobody may ask for this route", fix="see /docs for the routes of this service")
        self._roles.require(principal, permission)


def _bearer(header: str | None) -> str:
    if header is None:
        raise UnauthenticatedError(
            "missing", "there is no token", allowed="the header Authorization: Bearer TOKEN",
            fix="send a token (`masker token issue`)",
        )  # fmt: skip
    if not header.lower().startswith(SCHEME) or len(header) > LONGEST_TOKEN:
        raise UnauthenticatedError(
            "malformed", "the header Authorization holds no bearer token", allowed="Authorization: Bearer TOKEN",
            fix="send it in this form",
        )  # fmt: skip
    return header[len(SCHEME) :].strip()


def _unauthenticated(error: UnauthenticatedError) -> HttpError:
    """401 as RFC 6750 wants it."""
    code = "" if error.reason == "missing" else ', error="invalid_token"'
    return HttpError(
        401,
        f"token_{error.reason}",
        error.what,
        got=error.got,
        allowed=error.allowed,
        fix=error.fix or "",
        headers={"www-authenticate": f'Bearer realm="identity-masker"{code}'},
    )
