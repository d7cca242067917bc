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
    return JSONResponse(document(error, request_id).model_dump(), error.status, error.headers, MEDIA_TYPE)


def document(error: HttpError, request_id: str) -> Problem:
    """The problem document of `error`."""
    return _problem(error.status, error.reason, error.detail(), error.fix or "", request_id)


def _problem(status: int, reason: str, detail: str, fix: str, request_id: str) -> Problem:
    return Problem(
        type=TYPE_PREFIX + reason.replace("_", "-"),
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        reason=reason,
        fix=fix,
        request_id=request_id,
        retryable=status in RETRYABLE,
        error=detail,
    )


def internal() -> HttpError:
    """500 that says nothing about the inside; the log has the rest under the request id."""
    return HttpError(
        500,
        "internal",
        "the server failed on this request",
        fix="report the request id; the server's log has the reason",
    )


_EXAMPLES = {
    400: ("empty_body", "the body is empty; expected the bytes of a picture.", "send the picture as the body"),
    401: (
        "token_expired",
        "the token has expired.",
        "get a new token (`masker token issue`)",
    ),
    403: (
        "forbidden",
        "the role viewer may not do this; expected one of the roles admin, client, operator.",
        "ask an admin for a token of such a role (`masker token issue`)",
    ),
    404: ("unknown_model", "this server does not have the model.", "ask for one that is served"),
    408: ("slow_body", "the body did not arrive in time; expected the whole body within 15 s.", "send it again"),
    413: ("body_too_large", "the body is too large; got 30000000 bytes; expected at most 20971520 bytes.", "send less"),
    415: (
        "unsupported_media_type",
        "the content type is not a picture that is read here; got application/json; expected image/png, …",
        "send the picture's bytes as the body with its content type",
    ),
    422: (
        "truncated",
        "the picture ends too early; expected a whole file.",
        "copy or download the file again",
    ),
    429: ("over_quota", "this client asks too often.", "try again in 1 s, as Retry-After says"),
    500: ("masking_failed", "the model could not mask this picture.", "report the request id to the operator"),
    503: ("overloaded", "the server is full.", "try again in 1 s, as Retry-After says"),
    504: ("deadline", "the picture was not masked in time; expected an answer within 30 s.", "try again later"),
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses for OpenAPI: every status in `statuses` is a problem document, with an example."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    reason, detail, fix = _EXAMPLES[status]
    example = _problem(status, reason, detail, fix, "5f0c6a1b2d3e4f5061728394a5b6c7d8").model_dump()
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema(), "example": example}}
    return {"description": HTTPStatus(status).phrase, "content": content}
