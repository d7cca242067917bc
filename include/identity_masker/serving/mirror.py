"""Copies requests to a shadow, after their users were answered; under load it is dropped first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from identity_masker.serving.answers import PAIRED, SHADOW, Answer, Answers
from identity_masker.serving.problem import HttpError
from identity_masker.serving.request_log import RequestLog, Served
from identity_masker.serving.routing import Variant
from identity_masker.serving.upstream import Reply
from identity_masker.telemetry import logs
from identity_masker.telemetry.http import Exchange

log = logs.logger(__name__)


class Mirror:
    """Holds at most `limit` copies at a time. Belongs to one event loop."""

    def __init__(self, answers: Answers, limit: int) -> None:
        self._answers, self._limit = answers, limit
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> bool:
        return len(self._tasks) >= self._limit

    def copy(
        self,
        exchange: Exchange,
        champion: tuple[Served, Answer],
        shadow: tuple[str, Variant],
        send: Callable[[], Awaitable[Reply]],
        request_log: RequestLog | None,
    ) -> None:
        """Send a request that `champion` answered to `shadow` too, and count both answers as a pair."""
        task = asyncio.create_task(self._copied(exchange.request_id, champion, shadow, send, request_log))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let go of what is in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _copied(
        self,
        request_id: str,
        champion: tuple[Served, Answer],
        shadow: tuple[str, Variant],
        send: Callable[[], Awaitable[Reply]],
        request_log: RequestLog | None,
    ) -> None:
        (served, answered), (name, variant) = champion, shadow
        reply, answer = await _timed(send)
        self._answers.count(answered, served.variant, served.version, PAIRED)
        self._answers.count(answer, name, variant.version, SHADOW)
        if request_log is None:
            return
        copied = Served(variant=name, version=variant.version, semver=variant.semver, via=SHADOW, reply=reply)
        if answered.status == answer.status == 200 and served.reply is not None:
            copied.picture, copied.paired = served.picture, (served.version, served.reply)
        exchange = Exchange(request_id, status=answer.status, evidence=copied)
        if reply is None:
            exchange.note(reason="no_answer")
        request_log.done(exchange, answer.seconds)


async def _timed(send: Callable[[], Awaitable[Reply]]) -> tuple[Reply | None, Answer]:
    """The shadow's reply, and its status and time; a failure is an answer 5xx."""
    began, reply = time.perf_counter(), None
    try:
        reply = await send()
        status = reply.status
    except HttpError as error:
        status = error.status
    except Exception:  # whatever a shadow does, nobody may feel it
        log.exception("shadow_failed")
        status = 500
    return reply, Answer(status, time.perf_counter() - began)
