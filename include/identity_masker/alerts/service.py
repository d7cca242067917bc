"""`masker alerts serve`: takes Alertmanager's webhook, and sends what is due, as long as it runs."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, SecretStr
from starlette.types import ASGIApp

from identity_masker.alerts import alertmanager
from identity_masker.alerts.alert import Alert
from identity_masker.alerts.desk import Desk
from identity_masker.alerts.service_measures import ServiceMeasures
from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.serving.api import Health
from identity_masker.serving.application import application
from identity_masker.serving.body import read_body
from identity_masker.serving.problem import HttpError, documented, overloaded
from identity_masker.telemetry import logs
from identity_masker.telemetry.http import Edge
from identity_masker.telemetry.metrics import HttpMetrics

POLL_SECONDS = 1.0
"""How soon an alert that another process wrote down is seen."""

FORGET_SECONDS = 3600.0
MAX_BYTES = 4 * 2**20
BODY_SECONDS = 15.0
DESCRIPTION = "Takes alerts in and sends them by Slack, e-mail and webhook."
log = logs.logger(__name__)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


class Taken(BaseModel):
    """How many alerts of a request were written down. They are sent from now on, whatever happens to this process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: int


class AlertService:
    """The state of the service and its application. `app` is to be served by one event loop."""

    def __init__(self, desk: Desk, token: SecretStr | None, poll_seconds: float = POLL_SECONDS) -> None:
        self.metrics = HttpMetrics("alerts")
        self._desk = desk
        self._token = token
        self._poll_seconds = poll_seconds
        self._measures = ServiceMeasures(self.metrics.registry, desk.channels)
        self._news = asyncio.Event()
        self._draining = self._over = False
        self._forget_at = 0.0
        self._loop: asyncio.Task[None] | None = None
        self._database_error: TemporaryError | None = None
        self.app: ASGIApp = Edge(_routes(self), metrics=self.metrics, closing=lambda: self._draining)

    def drain(self) -> None:
        """Say "not ready" from now on, and go on answering."""
        self._draining = True

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """Send what is due while the application runs."""
        self._loop = asyncio.create_task(self._deliver_for_ever())
        try:
            yield
        finally:
            # Not cancelled: a message that is being sent is to be recorded as sent.
            self._over = True
            self._desk.stop()
            self._news.set()
            await self._loop

    async def alertmanager(self, request: Request, bearer: HTTPAuthorizationCredentials | None) -> Taken:
        """Write the alerts of the body down.

        Raises `HttpError`: 401 without the token, 422 for another body, 503 when they cannot be written down, and
        Alertmanager sends them again.
        """
        self._authorize(request, bearer)
        body = await read_body(request, max_bytes=MAX_BYTES, seconds=BODY_SECONDS)
        try:
            found = alertmanager.read(body)
            await asyncio.to_thread(self._take, found)
        except TemporaryError as error:
            log.warning("alerts_not_taken", reason=str(error))
            raise overloaded("the alerts cannot be written down now", "outbox", seconds=5) from error
        except BadInputError as error:
            raise HttpError(422, "invalid_payload", error.what, got=error.got, fix="see docs/alerts.md") from error
        self._news.set()
        return Taken(accepted=len(found))

    def live(self) -> Health:
        """Raises `HttpError` 503 when nothing sends any more."""
        if self._loop is None or self._loop.done():
            raise HttpError(503, "delivery_dead", "nothing sends alerts any more", fix="restart it")
        return Health(status="live")

    def ready(self) -> Health:
        """Raises `HttpError` 503 while draining, and while the control database does not answer."""
        self.live()
        if self._draining:
            raise overloaded("the service is stopping", "not_ready_draining", seconds=1)
        if self._database_error is not None:
            raise overloaded("the control database does not answer", "not_ready_database", seconds=5)
        return Health(status="ready")

    def _take(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self._measures.took(alert, self._desk.take(alert))

    def _authorize(self, request: Request, bearer: HTTPAuthorizationCredentials | None) -> None:
        if self._token is None:
            return
        given = bearer.credentials if bearer is not None else ""
        if not hmac.compare_digest(given.encode(), self._token.get_secret_value().encode()):
            request.state.exchange.unread_body = True
            raise HttpError(
                401,
                "unauthorized",
                "the bearer token is missing or wrong",
                fix="send the header Authorization: Bearer TOKEN with the value of MASKER_ALERTS_TOKEN",
                headers={"www-authenticate": "Bearer"},
            )

    async def _deliver_for_ever(self) -> None:
        while not self._over:
            try:
                self._measures.delivered(await asyncio.to_thread(self._desk.deliver))
                await asyncio.to_thread(self._measures.look, self._desk.outbox)
                await self._forget_now_and_then()
                self._database_error = None
            except TemporaryError as error:
                if self._database_error is None:
                    log.warning("outbox_unreachable", reason=str(error))
                self._database_error = error
            except Exception:
                log.exception("delivery_failed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._poll_seconds)
            self._news.clear()

    async def _forget_now_and_then(self) -> None:
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + FORGET_SECONDS
            await asyncio.to_thread(self._desk.forget)


def _routes(service: AlertService) -> FastAPI:
    app = application("Identity masker alerts", DESCRIPTION, service.metrics)
    app.router.lifespan_context = service.running

    @app.post(
        "/v1/alertmanager",
        tags=["operations"],
        summary="Alertmanager's webhook, version 4",
        responses=documented(400, 408, 413, 503),
    )
    async def take(request: Request, bearer: Bearer) -> Taken:
        return await service.alertmanager(request, bearer)

    @app.get("/health/live", tags=["operations"], summary="Does it run?")
    def live() -> Health:
        return service.live()

    @app.get("/health/ready", tags=["operations"], summary="Can it take alerts?")
    def ready() -> Health:
        return service.ready()

    return app
