"""A masker without a network, and real HTTP servers in threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import numpy as np
from numpy.typing import NDArray
from starlette.types import ASGIApp

from identity_masker.serving.connections import Bounds
from identity_masker.serving.model import ServedModel
from identity_masker.serving.process import Runner, Tls, listen

Pixels = NDArray[np.uint8]
POISON = (1, 2, 3)
"""A picture whose first pixel is this makes the masker fail."""


class NegativeMasker:
    """Inverts the pixels; records its calls; can be slow, and fails on poison."""

    architecture = "negative"
    size = 32

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.calls: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def mask(self, images: Pixels, keys: Sequence[str]) -> Pixels:
        self.gate.wait(10)
        self.calls.append(list(keys))
        time.sleep(self.seconds)
        if any(tuple(image[0, 0]) == POISON for image in images):
            raise ValueError("poison 1-2-3")
        return np.asarray(255 - images, dtype=np.uint8)


def served_model(masker: NegativeMasker | None = None, version: str = "1") -> ServedModel:
    return ServedModel(masker or NegativeMasker(), version, f"1.0.{version}", "0" * 64)


@contextmanager
def running(app: ASGIApp, bounds: Bounds = Bounds(), tls: Tls | None = None) -> Iterator[str]:  # noqa: B008
    """Serve `app` by uvicorn on a free port of loopback; yields its URL."""
    listener = listen("127.0.0.1", 0, variable="-")
    port = listener.getsockname()[1]
    runner = Runner(app, drain_seconds=0, grace_seconds=3, on_drain=lambda: None, bounds=bounds, tls=tls)
    thread = threading.Thread(target=runner.serve_on, args=(listener,))
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        runner.stop()
        thread.join(10)
        assert not thread.is_alive()


def eventually(url: str, status: int = 200, seconds: float = 10.0) -> httpx.Response:
    """GET `url` until it answers `status`."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(url, timeout=2)
            if answer.status_code == status:
                return answer
            last = answer.text
        except httpx.TransportError as error:
            last = error
        time.sleep(0.03)
    raise AssertionError(f"{url} did not answer {status} within {seconds} s; last: {last}")


def noise(side: int = 32, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def poisoned(side: int = 32) -> Pixels:
    picture = noise(side)
    picture[0, 0] = POISON
    return picture
