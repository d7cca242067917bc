"""Which server is asked, and whether again, when connections do not come about."""

from __future__ import annotations

import asyncio

import pytest

from identity_masker.serving.board import Board, Server
from identity_masker.serving.control import Endpoint
from identity_masker.serving.forwarding import Forwarder, Outgoing
from identity_masker.serving.problem import HttpError
from identity_masker.serving.upstream import (
    LAST_CONNECT_SECONDS,
    ConnectTimeoutError,
    Headers,
    Reply,
    Upstream,
    UpstreamError,
)
from identity_masker.telemetry.http import Exchange

ANSWER = Reply(200, {}, b"masked")
LATE = ConnectTimeoutError("no connection: TimeoutError", sent=False)
REFUSED = UpstreamError("no connection: ConnectionRefusedError", sent=False)


class Told(Upstream):
    """Answers as told, one after the other, and notes how long it may take to connect."""

    def __init__(self, answers: list[Reply | UpstreamError]) -> None:
        super().__init__("http://127.0.0.1:1")
        self.answers, self.patience = answers, list[float | None]()

    async def post(
        self, target: bytes, headers: Headers, body: bytes, *, seconds: float, connect_seconds: float | None = None
    ) -> Reply:
        self.patience.append(connect_seconds)
        answer = self.answers.pop(0)
        if isinstance(answer, UpstreamError):
            raise answer
        return answer


class Counts:
    retries = 0

    def failed(self, version: str) -> None:
        pass

    def retried(self) -> None:
        self.retries += 1

    def hedged(self) -> None:
        pass


def ask(*upstreams: Told) -> tuple[Reply, int]:
    """The answer of version 1, and how many requests were sent again."""
    board, counts = Board(), Counts()
    for slot, upstream in enumerate(upstreams):
        endpoint = Endpoint(
            owner="t", slot=str(slot), version="1", url=f"http://127.0.0.1:{slot}", pid=1, state="ready"
        )
        board.servers[endpoint.url] = Server(endpoint, upstream)
    forwarder = Forwarder(board, counts, credentials=lambda: None)
    asked = forwarder.ask("1", "1.0.0", Outgoing(b"/v1/mask", [], b"picture"), Exchange("r"), seconds=5)
    return asyncio.run(asked), counts.retries


def test_the_only_server_gets_more_time_when_the_connection_to_it_took_too_long() -> None:
    only = Told([LATE, ANSWER])
    assert ask(only) == (ANSWER, 1)
    assert only.patience == [None, LAST_CONNECT_SECONDS]


def test_another_server_is_asked_first_and_given_more_time_as_nobody_is_left_after_it() -> None:
    answers: list[Reply | UpstreamError] = [LATE, ANSWER]  # whoever of the two is asked first
    two = Told(answers), Told(answers)
    assert ask(*two) == (ANSWER, 1)
    assert {each.patience[0] for each in two} == {None, LAST_CONNECT_SECONDS}


def test_a_connection_that_is_never_made_ends_in_words() -> None:
    with pytest.raises(HttpError, match="no model server of version"):
        ask(Told([LATE, LATE]))


def test_the_only_server_is_not_asked_again_when_it_refuses_connections() -> None:
    only = Told([REFUSED, ANSWER])
    with pytest.raises(HttpError) as refused:
        ask(only)
    assert (refused.value.status, refused.value.reason, len(only.patience)) == (503, "no_server", 1)
