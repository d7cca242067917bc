"""The model server: one model behind `POST /v1/mask`."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from identity_masker.faces.decode import Limits, decode
from identity_masker.faces.formats import format_of
from identity_masker.serving import pictures
from identity_masker.serving.api import BODY, DESCRIPTION, HeaderKey, Health, QueryKey, mask_responses
from identity_masker.serving.application import application
from identity_masker.serving.body import read_body, unless_gone
from identity_masker.serving.guard import Guard
from identity_masker.serving.inference import routes, wire
from identity_masker.serving.model import ServedModel, warm_up
from identity_masker.serving.problem import HttpError, documented, overloaded
from identity_masker.serving.server_measures import ServerMeasures, State
from identity_masker.serving.worker import Worker
from identity_masker.telemetry import logs
from identity_masker.telemetry.http import Edge, Exchange
from identity_masker.telemetry.metrics import HttpMetrics

CODEC_THREADS = 2
T = TypeVar("T")
log = logs.logger(__name__)


class ServerConfig(BaseModel):
    """What one model server takes on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int = Field(default=8, ge=1, le=256, description="Pictures masked in one call of the model, at most.")
    capacity: int = Field(default=64, ge=1, description="Requests taken on at a time; more get 503.")
    images: int = Field(default=64, ge=1, le=1024, description="Images in one inference request.")
    body_seconds: float = Field(default=15.0, gt=0, description="Time for a body to arrive.")
    answer_seconds: float = Field(default=30.0, gt=0, description="Time from the whole body to the masked picture.")
    limits: Limits = Field(default=Limits(max_pixels=2048 * 2048), description="What a picture may cost.")


class ModelServer:
    """The state of the server and its application. `app` is to be served by one event loop."""

    def __init__(self, config: ServerConfig, guard: Guard | None = None) -> None:
        """Without `guard` all may ask."""
        self.guard = guard
        self.config = config
        self.metrics = HttpMetrics("server")
        self.failure: Exception | None = None
        self._state: State = "loading"
        self._model: ServedModel | None = None
        self._worker: Worker | None = None
        self._taken = 0
        self._codec = ThreadPoolExecutor(CODEC_THREADS, thread_name_prefix="codec")
        self._measures = ServerMeasures(self.metrics, config.capacity)
        self._made = time.monotonic()
        self.app: ASGIApp = Edge(_routes(self), metrics=self.metrics, closing=lambda: self._state == "draining")

    def load(self, loader: Callable[[], ServedModel], failed: Callable[[], None]) -> None:
        """Load and warm up the model in a thread; ready when done, else `failure` is set and `failed` called."""

        def run() -> None:
            try:
                self.use(loader())
            except Exception as error:  # handed to the main thread, which ends the process with it
                self.failure = error
                self._enter("failed")
                failed()

        threading.Thread(target=run, name="load", daemon=True).start()

    def use(self, model: ServedModel) -> None:
        """Warm up `model` and serve it."""
        warm_up(model, self.config.batch)
        pictures.warm_up()
        self._worker = worker = Worker(model.masker, batch=self.config.batch, observe=self._measures.called)
        self._model = model
        self._measures.model(model, worker, time.monotonic() - self._made)
        if self._state == "loading":
            self._enter("ready")
        log.info("model_ready", version=model.version, semver=model.semver, sha256=model.sha256)

    def drain(self) -> None:
        """Say "not ready" from now on, and go on answering."""
        self._enter("draining")

    def _enter(self, state: State) -> None:
        self._state = state
        self._measures.state(state)

    def close(self) -> None:
        """Let the threads end."""
        if self._worker is not None:
            self._worker.close()
        self._codec.shutdown(wait=False)

    def live(self) -> Health:
        """Raises `HttpError` 503 when the thread of the model has died."""
        if self._worker is not None and not self._worker.alive:
            raise HttpError(503, "worker_dead", "the thread of the model has ended", fix="restart this server")
        return Health(status="live")

    def ready(self) -> Health:
        """Raises `HttpError` 503 while loading and while draining."""
        self.live()
        if self._model is None or self._state != "ready":
            raise overloaded(f"the server is {self._state}", f"not_ready_{self._state}", seconds=1)
        return Health(status="ready", model_version=self._model.semver)

    async def mask(self, request: Request, key: str | None) -> Response:
        """Answer one picture with its masked self.

        Raises `HttpError`, `UndecodableError` and `MaskingFailedError`, which the application turns into problems.
        """
        exchange: Exchange = request.state.exchange
        pictures.check_content_type(request.headers.get("content-type"))
        with self._place() as (model, worker):
            exchange.note(model_version=model.semver)
            limits = self.config.limits
            timed = self._measures.timed
            with timed("read"):
                content = await read_body(request, max_bytes=limits.max_bytes, seconds=self.config.body_seconds)
            loop = asyncio.get_running_loop()
            with timed("decode"):
                pixels = await loop.run_in_executor(self._codec, decode, content, limits)
            with timed("wait_and_mask"):
                masked = await self._answer(request, worker.submit(pixels, key or secrets.token_hex(16)))
            same = format_of(content) or "PNG"
            name = pictures.negotiate(request.headers.get("accept"), same)
            with timed("encode"):
                answer = await loop.run_in_executor(self._codec, pictures.encode, masked, name)
        exchange.note(width=pixels.shape[1], height=pixels.shape[0], format=name, bytes_out=len(answer))
        headers = {"x-model-version": model.semver, "vary": "accept"}
        return Response(answer, media_type=pictures.MEDIA_TYPES[name], headers=headers)

    def serving(self) -> ServedModel:
        """The model. Raises `HttpError` 503 while there is none."""
        if self._model is None:
            raise overloaded("the model is not loaded yet", "not_ready", seconds=2)
        return self._model

    async def infer(self, request: Request, model: str) -> Response:
        """Answer a request of the Open Inference Protocol. Raises as `mask`; one failed image fails the request."""
        with self._place() as (served, worker):
            limits = self.config.limits
            with self._measures.timed("read"):
                body = await read_body(request, max_bytes=limits.max_bytes, seconds=self.config.body_seconds)
            asked = wire.parse(body, request.headers, wire.Limits(self.config.images, limits.max_pixels))
            keys = asked.keys or [secrets.token_hex(16) for _ in asked.images]
            jobs = [worker.submit(image, key) for image, key in zip(asked.images, keys, strict=True)]
            with self._measures.timed("wait_and_mask"):
                masked = await self._answer(request, asyncio.gather(*jobs))
            loop = asyncio.get_running_loop()
            content, headers = await loop.run_in_executor(
                self._codec, wire.answer, model, served.version, asked, np.stack(masked)
            )
        exchange: Exchange = request.state.exchange
        exchange.note(model_version=served.semver, images=len(jobs), bytes_out=len(content))
        return Response(content, headers={**headers, "x-model-version": served.semver})

    @contextmanager
    def _place(self) -> Iterator[tuple[ServedModel, Worker]]:
        """One of the `capacity` places. Raises `HttpError` 503 when there is none, or no model yet."""
        if self._model is None or self._worker is None:
            self._measures.rejected("not_ready")
            raise overloaded("the model is not loaded yet", "not_ready", seconds=2)
        if self._taken >= self.config.capacity:
            self._measures.rejected("overloaded")
            wait = self._worker.backlog_seconds(self._taken)
            raise overloaded("the server is full", "overloaded", seconds=wait)
        self._taken += 1
        try:
            with self._measures.taken.track_inprogress():
                yield self._model, self._worker
        finally:
            self._taken -= 1

    async def _answer(self, request: Request, job: asyncio.Future[T]) -> T:
        """What the model made of it. A client that leaves, or time running out, takes the picture out of the queue."""
        try:
            return await unless_gone(request, job, seconds=self.config.answer_seconds)
        except TimeoutError as error:
            raise HttpError(
                504,
                "deadline",
                "the picture was not masked in time",
                allowed=f"an answer within {self.config.answer_seconds:g} s",
                fix="try again later; the server is overloaded",
            ) from error


def _routes(server: ModelServer) -> FastAPI:
    app = application("Identity masker: model server", DESCRIPTION, server.metrics, server.guard)

    @app.post(
        "/v1/mask",
        tags=["masking"],
        summary="Mask one picture",
        description=DESCRIPTION,
        response_class=Response,
        responses=mask_responses(400, 408, 413, 415, 422, 500, 503, 504),
        openapi_extra=BODY,
    )
    async def mask(request: Request, key: QueryKey = None, header_key: HeaderKey = None) -> Response:
        return await server.mask(request, header_key or key)

    routes.add(app, server)

    @app.get("/health/live", tags=["operations"], summary="Does the process work?", responses=documented(503))
    async def live() -> Health:
        return server.live()

    @app.get("/health/ready", tags=["operations"], summary="Should it get requests?", responses=documented(503))
    async def ready() -> Health:
        return server.ready()

    return app
