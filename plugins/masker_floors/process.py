"""A step as a process beside Airflow: the same command, environment and meaning as in a pod."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from identity_masker.settings import StepIdentity, settings
from masker_floors import attempt, contract, guard

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

GRACE_S = 10.0  # between SIGTERM and SIGKILL
STOP_S = GRACE_S + guard.KILL_WAIT_S + 5.0
TAIL_LINES = 10
# On every line of a step's log, and in Airflow's log already.
KNOWN_FIELDS = {"event", "level", "timestamp", "logger", "correlation_id"}


class ProcessFloor:
    """Run `masker ARGUMENTS` under a guard (guard.py), its output into the task's log as it comes."""

    def __init__(self, arguments: list[str], *, log: logging.Logger | Logger, program: list[str] | None = None) -> None:
        self.command = [*(program or [masker()]), *arguments]
        self.log = log
        self._guard: subprocess.Popen[str] | None = None

    def run(self, context: Context) -> dict[str, Any]:
        """The result of the step. Raises as `contract.failure` and `contract.result` do."""
        step = contract.identity(context)
        with tempfile.TemporaryDirectory(prefix="masker-step-") as folder:
            file = Path(folder) / "return.json"
            exit_code, tail = self._supervise(step, file)
            document = _read(file)
        if exit_code == 0:
            return contract.result(document, step)
        raise contract.failure(exit_code, contract.reason(document, otherwise=tail))

    def kill(self) -> None:
        """Have the process tree stopped. Returns at once: the guard sees to it, even when this process is killed."""
        if self._guard is not None:
            self._guard.terminate()

    def _supervise(self, step: StepIdentity, file: Path) -> tuple[int, str]:
        self.log.info("Running %s", " ".join(self.command))
        lock = attempt.path_of(settings().home, step)
        with attempt.claimed(lock, patience=STOP_S) as descriptor:
            self._guard = self._start(step, file, descriptor)
            attempt.sign(descriptor, self._guard.pid)
        try:
            tail = self._forward_output()
            return self._guard.wait(), tail
        finally:
            # A timeout of Airflow's interrupts the reading above: the tree has to be gone before the task ends.
            self.kill()
            self._guard.wait(STOP_S)
            if self._guard.stdout:
                self._guard.stdout.close()

    def _start(self, step: StepIdentity, file: Path, lock: int) -> subprocess.Popen[str]:
        guarded = [sys.executable, "-I", guard.__file__, str(os.getpid()), str(GRACE_S), *self.command]
        return subprocess.Popen(
            guarded,
            env=environment(step, file),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            pass_fds=(lock,),
        )

    def _forward_output(self) -> str:
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        for line in self._guard.stdout or () if self._guard else ():
            level, text = readable(line.rstrip("\n"))
            self.log.log(level, "%s", text)
            tail.append(text)
        return "\n".join(tail)


def masker() -> str:
    """The `masker` command of the environment that Airflow runs in, else the first on PATH."""
    beside = Path(sys.executable).with_name("masker")
    found = str(beside) if beside.exists() else shutil.which("masker")
    if found is None:
        raise AirflowFailException("the command masker is not installed beside Airflow; to fix: pip install -e .")
    return found


def environment(step: StepIdentity, file: Path) -> dict[str, str]:
    """The worker's environment for a step, without Airflow's own: connections and keys are not the step's concern."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW"))}
    return {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "MASKER_HOME": str(settings().home),
        "MASKER_RESULT": str(file),
        **contract.environment(step),
    }


def readable(line: str) -> tuple[int, str]:
    """Level and text of a log line; a line that is not one of the step's JSON objects stays as it is."""
    try:
        record = json.loads(line)
        event = record["event"]
    except (ValueError, TypeError, KeyError):
        return logging.INFO, line
    level = logging.getLevelNamesMapping().get(str(record.get("level", "info")).upper(), logging.INFO)
    fields = [f"{name}={value}" for name, value in record.items() if name not in KNOWN_FIELDS]
    return level, " ".join([str(event), *fields])


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return file.read_text(encoding="utf-8", errors="replace")
