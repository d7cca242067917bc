"""Progress of a job: a bar on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from identity_masker.telemetry import logs

LOG_SECONDS = 10.0
log = logs.logger(__name__)


class MediaBar:
    """Shows the stages of a job, one line each."""

    def __init__(self, *, interactive: bool) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, disable=not (interactive and console.is_terminal),
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """Begin a stage of `total` pictures or frames; the function counts those that are done."""
        task = self._bar.add_task(name, total=total)
        done, logged = 0, time.monotonic()

        def advance(count: int) -> None:
            nonlocal done, logged
            done += count
            self._bar.advance(task, count)
            if self._bar.disable and (done == total or time.monotonic() - logged > LOG_SECONDS):
                logged = time.monotonic()
                log.info(name.replace(" ", "_"), done=done, total=total)

        return advance
