"""The versions that a server holds: one that is served by default, and others for whom they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from identity_masker.serving.calibration import Calibration
from identity_masker.serving.model import ServedModel
from identity_masker.serving.problem import HttpError, overloaded
from identity_masker.serving.worker import Worker


@dataclass(eq=False)
class HeldModel:
    """A version that is ready, its worker, and how many requests use it now."""

    model: ServedModel
    worker: Worker
    calibration: Calibration
    users: int = field(default=0)
    replaced: bool = field(default=False)


class HeldModels:
    """The first version that is added is the default, until another takes its place.

    A version that is replaced ends when the last request that began with it has its answer.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed()` is called after each change, in the thread that made it."""
        self._changed = changed
        self._lock = threading.Lock()
        self._held: list[HeldModel] = []

    def __iter__(self) -> Iterator[HeldModel]:
        return iter(tuple(self._held))

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def default(self) -> HeldModel:
        """Raises `HttpError` 503 while there is none."""
        try:
            return self._held[0]
        except IndexError:
            raise overloaded("the model is not loaded yet", "not_ready", seconds=2) from None

    def put(self, new: HeldModel, instead_of: ServedModel | None) -> None:
        """Hold `new` in the place of another version, or as one more."""
        with self._lock:
            old = next((held for held in self._held if held.model is instead_of), None)
            self._held = [new if held is old else held for held in self._held] if old else [*self._held, new]
            if old:
                old.replaced = True
            idle = old is not None and old.users == 0
        if old and idle:
            old.worker.close()
        self._changed()

    def find(self, version: str | None) -> HeldModel:
        """The one of this number or semantic version, by default the default. Raises `HttpError` 404 and 503."""
        if version is None:
            return self.default
        for held in self:
            if version in (held.model.version, held.model.semver):
                return held
        there = ", ".join(f"{held.model.version} ({held.model.semver})" for held in self)
        raise HttpError(
            404, "unknown_version", "this server does not hold the version", got=version[:80], allowed=there,
            fix="ask for one that is held, or for none to get the one that is served",
        )  # fmt: skip

    def use(self, version: str | None) -> HeldModel:
        """The one that `find` finds, kept until `leave`."""
        with self._lock:
            held = self.find(version)
            held.users += 1
            return held

    def leave(self, held: HeldModel) -> None:
        """A request that had it by `use` is over."""
        with self._lock:
            held.users -= 1
            last = held.replaced and held.users == 0
        if last:
            held.worker.close()

    def close(self, seconds: float) -> None:
        """End the workers, and wait at most `seconds` for the calls that are under way."""
        deadline = time.monotonic() + seconds
        for held in self:
            held.worker.close()
        for held in self:
            held.worker.join(max(0.0, deadline - time.monotonic()))
