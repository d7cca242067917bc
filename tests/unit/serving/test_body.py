"""Work for a client ends when the client leaves, when time runs out, or when its task is ended; each says which."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import Request

from identity_masker.serving.body import LEFT, ClientGoneError, unless_gone

Leave = Callable[[], None]


def asked_over_our_connection() -> tuple[Request, Leave]:
    """A request, and what its client does when it leaves."""
    told: list[Callable[[], object]] = []

    def when_left(then: Callable[[], object] | None) -> None:
        told[:] = [then] if then else []

    return Request({"type": "http", "extensions": {LEFT: when_left}}), lambda: [then() for then in told] and None


def asked_over_another() -> tuple[Request, Leave]:
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive), left.set


WAYS = pytest.mark.parametrize("asked", [asked_over_our_connection, asked_over_another])


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 10))


@WAYS
def test_the_client_that_leaves_ends_the_work(asked: Callable[[], tuple[Request, Leave]]) -> None:
    async def scene() -> None:
        request, leave = asked()
        work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.02, leave)
        with pytest.raises(ClientGoneError):
            await unless_gone(request, work, seconds=5)
        assert work.cancelled()
        await asyncio.sleep(0.01)  # and this task goes on as any other

    run(scene)


@WAYS
def test_time_that_runs_out_ends_the_work(asked: Callable[[], tuple[Request, Leave]]) -> None:
    async def scene() -> None:
        request, _ = asked()
        work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await unless_gone(request, work, seconds=0.02)
        assert work.cancelled()

    run(scene)


@WAYS
def test_what_is_done_in_time_is_the_result_and_leaving_later_ends_nothing(
    asked: Callable[[], tuple[Request, Leave]],
) -> None:
    async def scene() -> None:
        request, leave = asked()
        work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        work.set_result(7)
        assert await unless_gone(request, work, seconds=0.02) == 7
        leave()
        await asyncio.sleep(0.05)

    run(scene)


@WAYS
def test_who_ends_the_task_from_outside_is_not_mistaken_for_the_client(
    asked: Callable[[], tuple[Request, Leave]],
) -> None:
    async def scene() -> None:
        request, _ = asked()
        work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(unless_gone(request, work, seconds=5))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.cancelled()

    run(scene)
