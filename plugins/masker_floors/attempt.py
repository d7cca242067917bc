"""One attempt of a task instance at a time on this machine.

When Airflow takes a task process for dead and tries again, the old process tree may still be at work: training twice,
writing the same checkpoint. The tree holds a lock for as long as it lives; the next attempt stops the old one first.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow.sdk.exceptions import AirflowException

from identity_masker.settings import StepIdentity

POLL_S = 0.1


def path_of(home: Path, step: StepIdentity) -> Path:
    """The lock file of a task instance, the same for all its attempts."""
    return home / "locks" / step.dag_id / step.run_id / f"{step.task_id}.{step.map_index}.lock"


@contextmanager
def claimed(path: Path, *, patience: float) -> Iterator[int]:
    """Hold the lock and give its file descriptor, to be passed on to the process tree that keeps holding it.

    Raises `AirflowException` when an earlier attempt is still alive `patience` seconds after it was told to stop.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, path, time.monotonic() + patience)
        os.ftruncate(descriptor, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def sign(descriptor: int, guard: int) -> None:
    """Write down whom the next attempt has to stop."""
    os.pwrite(descriptor, str(guard).encode(), 0)


def _take(descriptor: int, path: Path, deadline: float) -> None:
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = told or _stop_holder(descriptor)
        else:
            return
        if time.monotonic() > deadline:
            holder = os.pread(descriptor, 32, 0).decode() or "unknown"
            raise AirflowException(
                f"an earlier attempt of this task is still running (process {holder}, lock {path}) and does not stop"
            )
        time.sleep(POLL_S)


def _stop_holder(descriptor: int) -> bool:
    """Tell the guard of the earlier attempt to stop; False when it has not signed yet."""
    holder = os.pread(descriptor, 32, 0).decode()
    if not holder:
        return False
    try:
        # The lock is held, so its guard lives and the number is still its own.
        os.kill(int(holder), signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True
