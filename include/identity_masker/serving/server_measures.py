"""Metrics of a model server beside those of HTTP: its model, its queue, its calls, the stages of a picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, get_args

from prometheus_client import Counter, Gauge, Histogram

from identity_masker.serving.held_models import HeldModel
from identity_masker.telemetry import tracing
from identity_masker.telemetry.metrics import SECONDS, HttpMetrics

State = Literal["loading", "ready", "failed", "draining"]
Stage = Literal["read", "decode", "wait_and_mask", "encode"]
REASONS = ("overloaded", "queue_full", "not_ready", "deadline", "deadline_unreachable", "deadline_too_short")
STATES: tuple[State, ...] = get_args(State)
STAGES: tuple[Stage, ...] = get_args(Stage)


class ServerMeasures:
    """What the model of this server does."""

    def __init__(self, metrics: HttpMetrics, capacity: int, taken: Callable[[], float]) -> None:
        """`taken()`: requests taken on and not answered."""
        registry = metrics.registry
        self._info = Gauge("masker_model_info", "The model served.", ["version", "semver", "sha256"], registry=registry)
        self._state = Gauge(
            "masker_server_state", "1 for the state that the server is in.", ["state"], registry=registry
        )
        self._load = Gauge("masker_server_model_load_seconds", "Time to load and warm up the model.", registry=registry)
        self._waiting = Gauge("masker_server_queue_length", "Pictures that wait for the model.", registry=registry)
        places = Gauge("masker_server_places_taken", "Requests taken on and not answered.", registry=registry)
        places.set_function(taken)
        Gauge("masker_server_places", "Requests taken on at a time, at most.", registry=registry).set(capacity)
        self._rejected = Counter(
            "masker_server_rejected",
            "Requests refused before the model saw them: overloaded, queue_full, not_ready, or by their deadline: "
            "deadline (passed in the queue), deadline_unreachable, deadline_too_short.",
            ["reason"],
            registry=registry,
        )
        self.deaths = Counter(
            "masker_server_model_deaths", "Ends of the model's process in a call; another one takes over.",
            registry=registry,
        )  # fmt: skip
        self._batch = Histogram(
            "masker_server_batch_size",
            "Pictures in one call of the model.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self._seconds = Histogram(
            "masker_server_inference_seconds", "Time of one call of the model.", buckets=SECONDS, registry=registry
        )
        stages = Histogram(
            "masker_server_stage_seconds",
            "Time of one picture by what it is spent on: read, decode, wait_and_mask, encode.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        for reason in REASONS:
            self._rejected.labels(reason)
        self._chosen = Gauge(
            "masker_server_batch_limit", "Pictures in one call, as measured at the start.", ["version"],
            registry=registry,
        )  # fmt: skip
        self._curve = Gauge(
            "masker_server_calibration_seconds", "One call of the model at the start.", ["version", "pictures"],
            registry=registry,
        )  # fmt: skip
        self.state("loading")

    def state(self, now: State) -> None:
        for each in STATES:
            self._state.labels(each).set(each == now)

    def models(self, held: Sequence[HeldModel]) -> None:
        """What is held now."""
        for gauge in (self._info, self._chosen, self._curve):
            gauge.clear()
        for each in held:
            model, version = each.model, each.model.version
            self._info.labels(version, model.semver, model.sha256).set(1)
            self._chosen.labels(version).set(each.calibration.batch)
            for pictures, seconds in each.calibration.curve.items():
                self._curve.labels(version, str(pictures)).set(seconds)
        self._waiting.set_function(lambda: sum(each.worker.waiting for each in held))

    def loaded(self, seconds: float) -> None:
        self._load.set(seconds)

    def rejected(self, reason: str) -> None:
        if reason in REASONS:
            self._rejected.labels(reason).inc()

    def called(self, pictures: int, seconds: float) -> None:
        """One call of the model."""
        self._batch.observe(pictures)
        self._seconds.observe(seconds)

    def timed(self, stage: Stage) -> AbstractContextManager[None]:
        """Times what runs inside; what fails is not counted: its time says nothing of the stage."""
        timed = Timed(self._stages[stage])
        return _traced(stage, timed) if tracing.recorded() else timed


class Timed:
    """A context that observes its time. A class, as it is entered several times a request."""

    __slots__ = ("_began", "_histogram")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._histogram.observe(time.perf_counter() - self._began)


@contextmanager
def _traced(stage: Stage, timed: Timed) -> Iterator[None]:
    with tracing.within(stage), timed:
        yield
