"""Errors over HTTP as problem documents (RFC 9457), with the `error` member that inference clients read."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from identity_masker.errors import MaskerError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:identity-masker:problem:"
RETRYABLE = frozenset({408, 429, 502, 503, 504})


class Problem(BaseModel):
    """What a client gets instead of a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(description="URN of the kind of problem.")
    title: str = Field(description="The HTTP status in words.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What was wrong and what was expected.")
    reason: str = Field(description="Short code for programs; the last part of `type`.")
    fix: str = Field(description="What to do.")
    request_id: str = Field(description="The same as the response header x-request-id.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    error: str = Field(description="`detail` again, under the name that Open Inference Protocol clients read.")


class HttpError(MaskerError):
    """An answer other than success, raised anywhere below a route."""

    def __init__(
        self,
        status: int,
        reason: str,
        what: str,
        *,
        got: object = None,
        allowed: str | None = None,
        fix: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what, got=got, allowed=allowed, fix=fix)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})

    def detail(self) -> str:
        """The message without the fix, which has a member of its own."""
        return str(MaskerError(self.what, got=self.got, allowed=self.allowed))


def overloaded(status_text: str, reason: str, *, seconds: float, fix: str = "") -> HttpError:
    """503 with Retry-After: the server, not this client, is the reason."""
    wait = max(1, round(seconds + 0.5))
    return HttpError(
        503,
        reason,
        status_text,
        fix=fix or f"try again in {wait} s, as Retry-After says",
        headers={"retry-after": str(wait)},
    )


def response(error: HttpError, request_id: str) -> JSONResponse:
    """The response that carries `error`."""
    problem = Problem(
        type=TYPE_PREFIX + error.reason.replace("_", "-"),
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail(),
        reason=error.reason,
        fix=error.fix or "",
        request_id=request_id,
        retryable=error.status in RETRYABLE,
        error=error.detail(),
    )
    return JSONResponse(problem.model_dump(), error.status, error.headers, MEDIA_TYPE)


def internal() -> HttpError:
    """500 that says nothing about the inside; the log has the rest under the request id."""
    return HttpError(
        500,
        "internal",
        "the server failed on this request",
        fix="report the request id; the server's log has the reason",
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses for OpenAPI: every status in `statuses` is a problem document."""
    schema = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": schema} for status in statuses}
