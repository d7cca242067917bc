"""The tries of one request as a sequence of steps, so that the blocking client and that of asyncio do the same."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import NamedTuple

import httpx

from identity_masker.client.errors import Problem, RefusedError, UnavailableError, problem_of
from identity_masker.client.retries import RETRYABLE, Retries


class Send(NamedTuple):
    """Send the request; its answer, or None when the connection failed, is sent into the generator."""

    seconds: float


class Pause(NamedTuple):
    """Wait."""

    seconds: float


Steps = Generator[Send | Pause, httpx.Response | None, httpx.Response]


def attempts(retries: Retries, request_id: str, timeout: float) -> Steps:
    """What to do for one request; returns the successful answer.

    Raises `RefusedError` for an answer that will not change, `UnavailableError` when the tries are used up.
    """
    began, tried = time.monotonic(), 0
    while True:
        left = retries.seconds - (time.monotonic() - began)
        answer = yield Send(max(0.001, min(timeout, left)))
        tried += 1
        if answer is not None and answer.is_success:
            return answer
        pause = retries.pause(tried, answer, elapsed=time.monotonic() - began)
        if pause is None:
            raise _failure(answer, request_id, tried)
        yield Pause(pause)


def _failure(answer: httpx.Response | None, request_id: str, tried: int) -> RefusedError | UnavailableError:
    if answer is None:
        fix = "check the address and that the gateway runs"
        problem = Problem(0, "unreachable", f"no answer came in {tried} tries", fix, request_id)
        return UnavailableError(problem)
    problem = problem_of(answer, request_id)
    return UnavailableError(problem) if answer.status_code in RETRYABLE else RefusedError(problem)
