"""A masker whose network lives in another process: a crash there is an error here, and the next call finds another."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import MaskerError, TemporaryError
from identity_masker.serving.engine.messages import KEY_BYTES, Arena, hear, raise_error, tell
from identity_masker.serving.starvation import Patience
from identity_masker.serving.worker import ModelDiedError
from identity_masker.telemetry import logs

LOAD_SECONDS = 120.0
CALL_SECONDS = 30.0
"""Processor time for one call of the model; and how long its process may get none. Then it is killed."""

HOST = (sys.executable, "-m", "identity_masker.serving.engine.host")
STDERR = 2
TICK_SECONDS = 0.5
DEATHS = 3
"""Children in a row that do not survive noise, after which the model is given up."""

REVIVED = "revived"
"""Key of the noise that a new child has to mask."""

Pixels = NDArray[np.uint8]
log = logs.logger(__name__)


class IsolatedMasker:
    """The masker in `folder`, loaded and run by another process. To be called by one thread at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        threads: int,
        largest: int,
        call_seconds: float = CALL_SECONDS,
        host: Sequence[str] = HOST,
    ) -> None:
        """`largest`: bytes of the pictures of one call; `host`: the command of the process, without its arguments.

        Raises what loading the model raises, `TemporaryError` when the process does not come up.
        """
        self.call_seconds = call_seconds
        self.deaths = 0
        self._lost = threading.Event()
        memory = os.memfd_create("masker-pictures")
        try:
            os.ftruncate(memory, largest + KEY_BYTES)
            self._arena = Arena(memory, largest)
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                handed = [str(each) for each in (theirs.fileno(), memory, largest, folder, threads)]
                # Ctrl-C is for the server, which has answers to finish; this one ends with its socket.
                self._process = subprocess.Popen(
                    [*host, *handed],
                    stdin=subprocess.DEVNULL,
                    stdout=STDERR,
                    pass_fds=(theirs.fileno(), memory),
                    start_new_session=True,
                )
        finally:
            os.close(memory)
        self._calls: socket.socket | None = None
        try:
            hello = self._hear(self._control, self._process.pid, LOAD_SECONDS)
            raise_error(hello)
            self._meet()
        except EOFError as error:
            self.close()
            raise TemporaryError("the process of the model ended while it loaded", fix="see its log") from error
        except BaseException:
            self.close()
            raise
        self.architecture: str = hello["architecture"]
        self.size: int = hello["size"]

    @property
    def alive(self) -> bool:
        """Whether there is somebody to compute, now or within moments."""
        return not self._lost.is_set()

    def mask(self, images: Pixels, keys: Sequence[str]) -> Pixels:
        """As `masking.masker.Masker` says. Raises `ModelDiedError` when the process did not survive the call."""
        return self.mask_while(images, keys, _nothing)

    def mask_while(self, images: Pixels, keys: Sequence[str], meanwhile: Callable[[], None]) -> Pixels:
        """As `mask`; `meanwhile()` is called while the process computes."""
        if self._calls is None or not self.alive:
            raise MaskerError("the process of the model has ended", fix="restart this server")
        self._arena.pixels(images.shape)[...] = images
        try:
            return self._call(images.shape, self._arena.write_keys(keys), meanwhile)
        except (EOFError, OSError) as error:
            self.deaths += 1
            log.error("model_died", pictures=len(images), deaths=self.deaths)
            self._revive()
            raise ModelDiedError("the process of the model died on this call") from error

    def close(self) -> None:
        """End the process."""
        self._lost.set()
        for channel in (self._calls, self._control):
            if channel is not None:
                channel.close()
        self._calls = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()

    def _call(self, shape: tuple[int, ...], keys: int, meanwhile: Callable[[], None]) -> Pixels:
        assert self._calls is not None  # noqa: S101 - callers looked
        tell(self._calls, {"shape": shape, "keys": keys})
        meanwhile()
        answer = self._hear(self._calls, self._pid, self.call_seconds)
        raise_error(answer)
        if answer["dtype"] != "uint8":
            raise MaskerError("the model gave an array of another form", got=answer["dtype"])
        return self._arena.pixels(answer["shape"]).copy()

    def _meet(self) -> None:
        """Take the socket of the next child."""
        if self._calls is not None:
            self._calls.close()
        self._calls = None
        while self._calls is None or select.select([self._control], [], [], 0)[0]:
            # Children that died while nobody called have left theirs too.
            if self._calls is not None:
                self._calls.close()
            hello, descriptors = hear(self._control)
            self._calls, self._pid = socket.socket(fileno=descriptors[0]), int(hello["pid"])

    def _revive(self) -> None:
        """Have a new child that has shown to mask. Gives the model up when there is none."""
        noise = np.random.default_rng(0).integers(0, 256, (1, self.size, self.size, 3), dtype=np.uint8)
        for _ in range(DEATHS):
            try:
                self._meet()
                self._arena.pixels(noise.shape)[...] = noise
                self._call(noise.shape, self._arena.write_keys([REVIVED]), _nothing)
                return
            except (EOFError, OSError, MaskerError):
                continue
        self._lost.set()
        log.error("model_lost", deaths=self.deaths)

    def _hear(self, channel: socket.socket, pid: int, seconds: float) -> dict[str, Any]:
        """The next message of a process, which is killed when it hangs. Raises EOFError when it has ended."""
        if select.select([channel], [], [], TICK_SECONDS)[0]:
            return hear(channel)[0]
        patience = Patience(pid, seconds)  # asks the system, which costs as much as a message
        while not select.select([channel], [], [], TICK_SECONDS)[0]:
            if patience.over():
                log.error("model_hangs", seconds=seconds)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return hear(channel)[0]


def _nothing() -> None:
    """What there is to do during a call that nobody has anything to do in."""
