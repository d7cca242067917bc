"""What the API says when it gives no picture."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx

from identity_masker.errors import BadInputError, MaskerError, TemporaryError


class Problem(NamedTuple):
    """A problem document (RFC 9457) of the API; `status` 0 when no answer came."""

    status: int
    reason: str
    detail: str
    fix: str
    request_id: str


class ApiError(MaskerError):
    """The request got no picture; `problem` is what the API said."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        who = f"status {problem.status}" if problem.status else "no answer"
        super().__init__(
            problem.detail or problem.reason,
            got=f"{who}, {problem.reason}, request {problem.request_id}",
            fix=problem.fix or None,
        )


class RefusedError(ApiError, BadInputError):
    """The same request will be refused again."""

    exit_code = BadInputError.exit_code


class UnavailableError(ApiError, TemporaryError):
    """The same request may succeed later; all tries of this one are used up."""

    exit_code = TemporaryError.exit_code


def problem_of(answer: httpx.Response, request_id: str) -> Problem:
    """The problem in an answer; what a proxy says in another form becomes one too."""
    try:
        document: Any = answer.json()
    except ValueError:
        document = None
    found = document if isinstance(document, dict) else {}
    return Problem(
        status=answer.status_code,
        reason=str(found.get("reason", "no_problem_document")),
        detail=str(found.get("detail", answer.reason_phrase or "the request failed")),
        fix=str(found.get("fix", "")),
        request_id=answer.headers.get("x-request-id", request_id),
    )
