"""Progress of a training: a bar on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from identity_masker.telemetry import logs

if TYPE_CHECKING:
    from identity_masker.masking.training import Progress as Step

LOG_SECONDS = 10.0
log = logs.logger(__name__)


class TrainingBar:
    """Shows each finished step of a training."""

    def __init__(self, *, interactive: bool) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            console=console, disable=not (interactive and console.is_terminal),
        )  # fmt: skip
        self._task = self._bar.add_task("training", total=None, loss="")
        self._logged = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, step: Step) -> None:
        loss = step.losses["total"]
        self._bar.update(self._task, completed=step.step, total=step.total, loss=f"loss {loss:.4f}")
        last = step.step == step.total
        if self._bar.disable and (last or time.monotonic() - self._logged > LOG_SECONDS):
            self._logged = time.monotonic()
            log.info(
                "training", step=step.step, total=step.total, loss=round(loss, 4),
                images_per_second=round(step.images_per_second),
            )  # fmt: skip
