"""The process manager, with a real supervisord and real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.stack import supervisor
from identity_masker.stack.home import Home


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "h")
    made.prepare()
    return made


def running(home: Home, command: str) -> AbstractContextManager[None]:
    return supervisor.running({"it": command}, home, dict(os.environ, GREETING="hello %s"))


def test_processes_see_the_environment_and_write_their_log(home: Home) -> None:
    log = home.logs / "it.log"
    with running(home, "/bin/sh -c 'echo $GREETING 100%; sleep 60'"):
        assert eventually(lambda: log.exists() and log.read_text() == "hello %s 100%\n")


def test_a_killed_process_comes_back(home: Home) -> None:
    with running(home, "sleep 60"):
        first = supervisor.processes(home)[0].pid
        assert alive(first)
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: supervisor.processes(home)[0].pid not in (0, first))


def test_stop_ends_the_whole_process_tree(home: Home) -> None:
    child_file = home.root / "child"
    with running(home, "/bin/sh -c 'sleep 61 & echo $! > child; wait'"):
        assert eventually(lambda: child_file.exists() and child_file.read_text().strip() != "")
        assert supervisor.stop(home)
        assert not alive(int(child_file.read_text()))
        assert supervisor.processes(home) == []


def test_stop_without_a_stack_says_so(home: Home) -> None:
    assert not supervisor.stop(home)


def test_a_process_manager_that_cannot_start_says_why(home: Home) -> None:
    with pytest.raises(MaskerError, match="did not start"), running(home, "true\n[broken"):
        pass


def test_procfile_with_a_bad_line_is_refused_by_number(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# comment\nweb: run it\nnonsense\n")
    with pytest.raises(BadInputError, match="line 3"):
        supervisor.read_procfile(tmp_path / "Procfile")
