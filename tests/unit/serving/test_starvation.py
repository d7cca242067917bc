"""Real processes: one that works, one that is stopped, one that never ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from identity_masker.serving.starvation import Patience, cpu_seconds

PATIENCE = 60.0


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) as process:
        try:
            yield process
        finally:
            process.kill()


def used(process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + PATIENCE
    while (cpu_seconds(process.pid) or 0.0) < seconds:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def over(patience: Patience) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not patience.over():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_process_that_is_stopped_is_given_up(busy: subprocess.Popen[bytes]) -> None:
    os.kill(busy.pid, signal.SIGSTOP)
    assert over(Patience(busy.pid, 0.2))


def test_a_process_that_never_ends_is_given_up(busy: subprocess.Popen[bytes]) -> None:
    assert over(Patience(busy.pid, 0.2))


def test_a_process_that_gets_little_is_not_given_up(busy: subprocess.Popen[bytes]) -> None:
    patience = Patience(busy.pid, 20.0)
    before = cpu_seconds(busy.pid)
    assert before is not None
    used(busy, before + 0.1)
    patience._moved -= 19.0  # as if all that had taken 19 s on the clock
    assert not patience.over()
    patience._moved -= 19.0
    used(busy, before + 0.3)
    assert not patience.over()


def test_a_process_that_is_gone_has_no_time() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "pass"]) as process:
        process.wait()
    assert cpu_seconds(process.pid) is None
