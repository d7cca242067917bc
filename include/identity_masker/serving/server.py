"""The model server: models behind `POST /v1/mask` and the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from identity_masker.errors import MaskerError
from identity_masker.faces.decode import Limits
from identity_masker.serving import bundle, pictures, server_routes
from identity_masker.serving.api import Health
from identity_masker.serving.body import read_body, unless_gone
from identity_masker.serving.bundle_masking import mask_bundle
from identity_masker.serving.calibration import calibrate
from identity_masker.serving.codec import Codec
from identity_masker.serving.guard import Guard
from identity_masker.serving.held_models import HeldModel, HeldModels
from identity_masker.serving.inference import routes, wire
from identity_masker.serving.latency import Latency
from identity_masker.serving.mask_options import MaskOptions
from identity_masker.serving.model import ServedModel
from identity_masker.serving.problem import HttpError, overloaded
from identity_masker.serving.queueing import Picture, QueueLimits, TooLateError
from identity_masker.serving.server_measures import ServerMeasures, State
from identity_masker.serving.worker import Pixels, Worker
from identity_masker.telemetry import logs
from identity_masker.telemetry.http import Edge, Exchange
from identity_masker.telemetry.metrics import HttpMetrics

REFUSALS = (503, 504)
LAST_CALL_SECONDS = 5.0
"""For the model's call under way at the end of the process."""

Loader = Callable[[], ServedModel]
log = logs.logger(__name__)


class ServerConfig(BaseModel):
    """What one model server takes on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int | None = Field(default=None, ge=1, le=256, description="Pictures in one call; by default measured.")
    largest_batch: int = Field(default=32, ge=1, le=256, description="That measuring tries at most.")
    capacity: int = Field(default=64, ge=1, description="Requests taken on at a time; more get 503.")
    body_bytes: int = Field(default=256 << 20, ge=1, description="Of all bodies at a time; more get 503.")
    queue: QueueLimits = QueueLimits()
    images: int = Field(default=64, ge=1, le=1024, description="Images in one inference request or bundle.")
    body_seconds: float = Field(default=15.0, gt=0, description="Time for a body to arrive.")
    answer_seconds: float = Field(default=30.0, gt=0, description="Time from the whole body to the masked picture.")
    limits: Limits = Field(
        default=Limits(max_pixels=2048 * 2048, decode_seconds=2.0), description="What a picture may cost."
    )


class ModelServer:
    """The state of the server and its application. `app` is to be served by one event loop."""

    def __init__(self, config: ServerConfig, guard: Guard | None = None) -> None:
        """Without `guard` all may ask."""
        self.guard = guard
        self.config = config
        self.metrics = HttpMetrics("server")
        self.failure: Exception | None = None
        self._state: State = "loading"
        self._measures = ServerMeasures(self.metrics, config.capacity, lambda: self._taken)
        self.models = HeldModels(changed=lambda: self._measures.models(tuple(self.models)))
        self._loaded: dict[Loader, ServedModel] = {}
        self._loading = threading.Lock()
        self._taken = 0
        self._bytes = 0
        self.codec = Codec(config.limits)
        self._made = time.monotonic()
        self.app: ASGIApp = Edge(
            server_routes.routes(self),
            metrics=self.metrics,
            closing=lambda: self._state == "draining",
            done=self._answered,
        )

    def load(self, *loaders: Loader, failed: Callable[[], None]) -> None:
        """Load and warm up models in a thread; the first is the default.

        The server is ready when all are, else `failure` is set and `failed` called.
        """

        def run() -> None:
            try:
                self._load(loaders)
                if self._state == "loading":
                    self._enter("ready")
            except Exception as error:  # handed to the main thread, which ends the process with it
                self.failure = error
                self._enter("failed")
                failed()

        threading.Thread(target=run, name="load", daemon=True).start()

    def reload(self) -> None:
        """Load again, in a thread, what the loaders mean now. A model that is another one takes its place when it is
        warm; no request is dropped. A failure is logged, and what is served stays.
        """

        def run() -> None:
            try:
                self._load(tuple(self._loaded))
            except Exception:  # what is served goes on being served
                log.exception("reload_failed")

        threading.Thread(target=run, name="reload", daemon=True).start()

    def _load(self, loaders: tuple[Loader, ...]) -> None:
        with self._loading:
            for loader in loaders:
                model, known = loader(), self._loaded.get(loader)
                if model is not known:
                    self._hold(model, instead_of=known)
                    self._loaded[loader] = model

    def use(self, model: ServedModel, *, instead_of: ServedModel | None = None) -> None:
        """Warm up `model` and serve it: as one more version, the first as the default, or in the place of another."""
        self._hold(model, instead_of)
        if self._state == "loading":
            self._enter("ready")

    def _hold(self, model: ServedModel, instead_of: ServedModel | None) -> None:
        config, began = self.config, time.monotonic()
        found = calibrate(model, largest=config.largest_batch, fixed=config.batch)
        pictures.warm_up()
        worker = Worker(
            model.masker,
            batch=found.batch,
            observe=self._measures.called,
            latency=Latency(found.calls()),
            limits=config.queue,
            died=self._measures.deaths.inc,
            ended=model.close,
        )
        self.models.put(HeldModel(model, worker, found), instead_of)
        self._measures.loaded(time.monotonic() - (began if self._loaded else self._made))
        log.info(
            "model_ready", version=model.version, semver=model.semver, sha256=model.sha256, batch=found.batch,
            call_ms={size: round(1000 * seconds, 2) for size, seconds in found.curve.items()},
        )  # fmt: skip

    def drain(self) -> None:
        """Say "not ready" from now on, and go on answering."""
        self._enter("draining")

    def _enter(self, state: State) -> None:
        self._state = state
        self._measures.state(state)

    def close(self) -> None:
        """Let the threads end. A call whose client has left is waited for: the interpreter cannot end a thread that
        computes in torch, and aborts the process instead.
        """
        self.models.close(LAST_CALL_SECONDS)
        self.codec.close()

    def _answered(self, _route: str, exchange: Exchange, _seconds: float) -> None:
        if exchange.status in REFUSALS:
            self._measures.rejected(str(exchange.fields.get("reason", "")))

    def live(self) -> Health:
        """Raises `HttpError` 503 when a model, or the thread that calls it, has ended."""
        if not all(held.worker.alive and held.model.alive() for held in self.models):
            raise HttpError(503, "worker_dead", "the model can be called no more", fix="restart this server")
        return Health(status="live")

    def ready(self) -> Health:
        """Raises `HttpError` 503 while loading and while draining."""
        self.live()
        if not self.models or self._state != "ready":
            raise overloaded(f"the server is {self._state}", f"not_ready_{self._state}", seconds=1)
        return Health(status="ready", model_version=self.models.default.model.semver)

    async def mask(self, request: Request, options: MaskOptions) -> Response:
        """Answer one picture with its masked self, or a bundle of them with an archive.

        Raises `HttpError`, `UndecodableError`, `MaskingFailedError`, `TooLateError` and `QueueFullError`, which the
        application turns into problems.
        """
        content_type = request.headers.get("content-type")
        kind = bundle.kind_of(content_type)
        if kind is None:
            pictures.check_content_type(content_type)
        with self._place(request, options.version, options.deadline) as held:
            answer = await (
                mask_bundle(self, request, options, held, kind) if kind else self._one(request, options, held)
            )
        answer.headers["x-model-version"] = held.model.semver
        answer.headers["vary"] = "accept"
        return answer

    async def _one(self, request: Request, options: MaskOptions, held: HeldModel) -> Response:
        timed = self._measures.timed
        content = await self.body(request, options.deadline)
        with timed("decode"):
            pixels, same = await self.codec.decode(content)
        jobs = [Picture(pixels, options.key_or_new(), options.strength)]
        (masked,) = await self._masked(request, held, jobs, options.deadline)
        name = pictures.negotiate(request.headers.get("accept"), same)
        with timed("encode"):
            answer = await self.codec.encode(masked, name)
        exchange: Exchange = request.state.exchange
        exchange.note(width=pixels.shape[1], height=pixels.shape[0], format=name, bytes_out=len(answer))
        return Response(answer, media_type=pictures.MEDIA_TYPES[name])

    async def infer(self, request: Request, version: str | None, deadline: float) -> Response:
        """Answer a request of the Open Inference Protocol. Raises as `mask`; one failed image fails the request."""
        with self._place(request, version, deadline) as held:
            body = await self.body(request, deadline)
            most = wire.Limits(self.config.images, self.config.limits.max_pixels)
            asked = wire.parse(body, request.headers, most)
            keys = asked.keys or [secrets.token_hex(16) for _ in asked.images]
            jobs = [Picture(image, key, asked.strength) for image, key in zip(asked.images, keys, strict=True)]
            masked = np.stack(await self._masked(request, held, jobs, deadline))
            # Numbers as text take their time; bytes do not.
            written = partial(wire.answer, routes.MODEL, held.model.version, asked, masked)
            content, headers = written() if asked.binary else await asyncio.to_thread(written)
        exchange: Exchange = request.state.exchange
        exchange.note(images=len(jobs), bytes_out=len(content))
        return Response(content, headers={**headers, "x-model-version": held.model.semver})

    async def body(self, request: Request, deadline: float) -> bytes:
        """The whole body, in time. Raises as `read_body`."""
        seconds = min(self.config.body_seconds, max(0.0, deadline - time.monotonic()))
        with self._measures.timed("read"):
            return await read_body(request, max_bytes=self.config.limits.max_bytes, seconds=seconds)

    async def outcomes(
        self, request: Request, held: HeldModel, jobs: list[Picture], deadline: float
    ) -> list[Pixels | MaskerError]:
        """What became of each picture. A client that leaves, or time running out, takes them out of the queue."""
        seconds = min(self.config.answer_seconds, deadline - time.monotonic())
        answers = held.worker.submit(jobs, time.monotonic() + seconds)
        with self._measures.timed("wait_and_mask"):
            try:
                if len(answers) == 1:
                    return [await _outcome(unless_gone(request, answers[0], seconds=seconds))]
                work: asyncio.Future[list[Any]] = asyncio.gather(*answers, return_exceptions=True)
                return await unless_gone(request, work, seconds=seconds)
            except TimeoutError as error:
                raise TooLateError.passed() from error

    async def _masked(self, request: Request, held: HeldModel, jobs: list[Picture], deadline: float) -> list[Pixels]:
        """All pictures masked. Raises why one of them was not."""
        outcomes = await self.outcomes(request, held, jobs, deadline)
        masked = [outcome for outcome in outcomes if not isinstance(outcome, MaskerError)]
        for outcome in outcomes:
            if isinstance(outcome, MaskerError):
                raise outcome
        return masked

    @contextmanager
    def _place(self, request: Request, version: str | None, deadline: float) -> Iterator[HeldModel]:
        """One of the `capacity` places, and the model. Raises `HttpError` 503 when there is none, `TooLateError`."""
        declared = request.headers.get("content-length", "")
        most = self.config.limits.max_bytes
        size = min(int(declared), most) if declared.isdecimal() else most
        held = self.models.use(version)
        try:
            if self._taken >= self.config.capacity or (self._taken and self._bytes + size > self.config.body_bytes):
                raise overloaded("the server is full", "overloaded", seconds=held.worker.backlog_seconds())
            held.worker.check(deadline)
            exchange: Exchange = request.state.exchange
            exchange.note(model_version=held.model.semver)
            self._taken, self._bytes = self._taken + 1, self._bytes + size
            try:
                yield held
            finally:
                self._taken, self._bytes = self._taken - 1, self._bytes - size
        finally:
            self.models.leave(held)


async def _outcome(answer: Awaitable[Pixels]) -> Pixels | MaskerError:
    try:
        return await answer
    except MaskerError as error:
        return error
