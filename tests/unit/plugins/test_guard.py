from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.plugins.processes import survivors

from masker_floors import guard

Family = tuple[str, Callable[[], list[int]]]


def start(*command: str, grace: float = 5.0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", guard.__file__, str(os.getpid()), str(grace), *command])


@pytest.mark.parametrize("code", [0, 1, 2, 75])
def test_exit_code_is_the_commands(code: int) -> None:
    assert start("sh", "-c", f"exit {code}").wait(10) == code


def test_command_that_dies_of_a_signal_gives_128_and_its_number() -> None:
    assert start("sh", "-c", "kill -KILL $$").wait(10) == 128 + signal.SIGKILL


def test_command_that_does_not_exist_gives_127() -> None:
    assert start("/no/such/program").wait(10) == 127


def test_what_the_command_leaves_running_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    member = f"echo $$ >> {file}; exec sleep 300"
    script = f"setsid sh -c '{member}' & sh -c '{member}' & while [ $(wc -l < {file}) -lt 2 ]; do sleep 0.02; done"
    file.touch()
    assert start("sh", "-c", script).wait(10) == 0
    pids = [int(line) for line in file.read_text().split()]
    assert len(pids) == 2
    assert survivors(pids, within=0) == []


def test_stop_ends_the_whole_tree(family: Family) -> None:
    script, pids = family
    process = start("sh", "-c", script)
    members = pids()
    process.terminate()
    assert process.wait(10) == guard.STOPPED
    assert survivors(members, within=0) == []


def test_process_that_ignores_the_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = start("sh", "-c", f"trap '' TERM; touch {ready}; while true; do sleep 0.1; done", grace=0.5)
    while not ready.exists():
        time.sleep(0.02)
    began = time.monotonic()
    process.terminate()
    assert process.wait(10) == guard.STOPPED
    assert 0.5 <= time.monotonic() - began < 4


def test_process_gets_its_grace_to_end_well(tmp_path: Path) -> None:
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    script = f"trap 'sleep 0.3; touch {saved}; exit 0' TERM; touch {ready}; while true; do sleep 0.02; done"
    process = start("sh", "-c", script)
    while not ready.exists():
        time.sleep(0.02)
    process.terminate()
    process.wait(10)
    assert saved.exists()


def test_tree_ends_when_the_task_process_is_killed(family: Family) -> None:
    script, pids = family
    code = (
        "import os, subprocess, sys\n"
        "subprocess.run([sys.executable, '-I', sys.argv[1], str(os.getpid()), '5', 'sh', '-c', sys.argv[2]])"
    )
    task = subprocess.Popen([sys.executable, "-c", code, guard.__file__, script])
    members = pids()
    task.kill()
    task.wait()
    assert survivors(members) == []


def test_command_ends_when_the_guard_itself_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    process = start("sh", "-c", f"echo $$ > {file}; exec sleep 300")
    while not file.exists() or not file.read_text():
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert survivors([int(file.read_text())]) == []


def test_nothing_starts_when_the_task_process_is_already_gone(tmp_path: Path) -> None:
    file = tmp_path / "started"
    orphaned = [sys.executable, "-I", guard.__file__, "1", "1", "touch", str(file)]
    assert subprocess.run(orphaned, check=False, timeout=10).returncode == guard.STOPPED
    assert not file.exists()
