"""Kills writers and compactors of one log at random moments: `python -m tests.unit.telemetry.events.drill …`.

A process of its own with nothing but this in it forks them, because importing DuckDB anew for each would take minutes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

from tests.unit.telemetry.events.samples import outcome

from identity_masker.telemetry import logs
from identity_masker.telemetry.events import EventLog
from identity_masker.telemetry.events.compaction import compact
from identity_masker.telemetry.events.room import Bounds

SMALL = Bounds(segment_bytes=20_000, segment_seconds=0.2, free_bytes=0)


def child(work: Callable[[], object]) -> int:
    """The id of a new process that does `work` and ends."""
    if pid := os.fork():
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def write(folder: Path, acknowledged: Path, prefix: str) -> NoReturn:
    """Append as long as it lives; each acknowledged id is a line of `acknowledged`."""
    record = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer, number = EventLog(folder, bounds=SMALL).writer("outcomes"), 0
    while True:
        name = f"{prefix}-{number}"
        if writer.append(outcome(datetime.now(UTC), name)):
            os.write(record, f"{name}\n".encode())
        number += 1
        time.sleep(0.002)


def warm_up(folder: Path) -> None:
    """Import what a compaction imports on its way, or most would be killed before they began."""
    with EventLog(folder) as log:
        log.writer("outcomes").append(outcome())
    compact(folder, str(folder / "store"), datetime.now(UTC))


def repeat(folder: Path, store: Path) -> NoReturn:
    while True:
        compact(folder, str(store), datetime.now(UTC))


def main(folder: Path, store: Path, acknowledged: Path, rounds: int) -> None:
    logs.configure(level="ERROR", correlation_id="", stream=sys.stderr, json_lines=True)
    warm_up(folder.with_name("warm"))
    chance = random.Random(rounds)
    compactor = child(partial(repeat, folder, store))
    for number in range(rounds):
        writers = [child(partial(write, folder, acknowledged, f"{number}-{n}")) for n in range(2)]
        time.sleep(chance.uniform(0.05, 0.5))
        for pid in [*writers, compactor]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            time.sleep(chance.uniform(0, 0.01))
        compactor = child(partial(repeat, folder, store))
    os.kill(compactor, signal.SIGKILL)
    os.waitpid(compactor, 0)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]), rounds=int(sys.argv[4]))
