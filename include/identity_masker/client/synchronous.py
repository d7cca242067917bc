"""The client for ordinary code."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Self

import httpx

from identity_masker.client import answers
from identity_masker.client.answers import Masked, Outcome
from identity_masker.client.attempts import Send, attempts
from identity_masker.client.retries import Retries

TIMEOUT = 35.0
CONNECTIONS = 100


class MaskerClient:
    """A connection pool to one gateway. Safe to use from several threads.

    >>> with MaskerClient("http://127.0.0.1:8000") as client:  # doctest: +SKIP
    ...     masked = client.mask(Path("face.png").read_bytes())
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        retries: Retries | None = None,
        timeout: float = TIMEOUT,
        correlation_id: str = "",
    ) -> None:
        """`timeout`: seconds for each try. `token`: for a gateway that asks for one. `correlation_id`: of the DAG run
        that asks, for the logs."""
        self._http = httpx.Client(base_url=url, headers=answers.common_headers(token, correlation_id), trust_env=False)
        self._retries = retries or Retries()
        self._timeout = timeout

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mask(
        self,
        picture: bytes,
        *,
        key: str | None = None,
        accept: str | None = None,
        user: str | None = None,
        attributes: Mapping[str, object] | None = None,
        consent: bool = False,
    ) -> Masked:
        """The picture with a fictitious identity.

        Pictures with the same `key` get the same face. `accept` asks for another format (a media type). `user` stays
        with the same variant; `attributes` are what experiments choose users by. With
        `consent` the service may keep the picture for some days: all people in it agreed.
        Raises `BadInputError` for what is no picture, `RefusedError`, and `UnavailableError` after the last try.
        """
        name = answers.new_request_id()
        request = answers.picture_request(
            picture, key=key, accept=accept, user=user, attributes=attributes, consent=consent, request_id=name
        )
        return answers.masked(self._send(request, name))

    def tell(self, user: str, outcomes: Iterable[Outcome]) -> int:
        """Tell what a user did; returns how many events the log holds for it. Raises as `mask`."""
        name = answers.new_request_id()
        return int(self._send(answers.events_request(user, outcomes, name), name).json()["accepted"])

    def ready(self) -> bool:
        """Whether the gateway would answer a picture now."""
        try:
            return self._http.get("/health/ready", timeout=self._timeout).is_success
        except httpx.TransportError:
            return False

    def _send(self, request: httpx.Request, name: str) -> httpx.Response:
        steps = attempts(self._retries, name, self._timeout)
        step, answer = next(steps), None
        while True:
            if isinstance(step, Send):
                answer = self._try(request, step.seconds)
            else:
                time.sleep(step.seconds)
            try:
                step = steps.send(answer)
            except StopIteration as done:
                found: httpx.Response = done.value
                return found

    def _try(self, request: httpx.Request, seconds: float) -> httpx.Response | None:
        try:
            return self._http.request(
                request.method, str(request.url), content=request.content, headers=request.headers, timeout=seconds
            )
        except httpx.TransportError:
            return None
