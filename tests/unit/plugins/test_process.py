from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout
from tests.unit.plugins.processes import survivors

from masker_floors import attempt, contract, process
from masker_floors.process import ProcessFloor

Family = tuple[str, Callable[[], list[int]]]
LOG = logging.getLogger("test.task")

# A step as the package writes one: cli/step.py leaves the result in both places.
FINISH = "from identity_masker.cli.step import record; record({'version': '7'})"


def context(try_number: int = 1) -> Any:
    return {
        "ti": SimpleNamespace(
            dag_id="ingest_faces", run_id="manual__1", task_id="ingest", map_index=-1, try_number=try_number
        )
    }


def python(code: str) -> ProcessFloor:
    return ProcessFloor(["-c", code], log=LOG, program=[sys.executable])


def shell(script: str) -> ProcessFloor:
    return ProcessFloor(["-c", script], log=LOG, program=["sh"])


def test_result_is_what_the_step_recorded() -> None:
    assert python(FINISH).run(context()) == {"version": "7"}


def test_stored_copy_stands_in_for_a_lost_result_file() -> None:
    lost = f"import os; {FINISH}; os.remove(os.environ['MASKER_RESULT'])"
    assert python(lost).run(context()) == {"version": "7"}


def test_stored_copy_of_another_try_is_not_taken() -> None:
    python(FINISH).run(context(try_number=1))
    with pytest.raises(AirflowException, match="without a result"):
        python("").run(context(try_number=2))


def test_missing_result_fails_loudly() -> None:
    with pytest.raises(AirflowException, match="exit code 0 but without a result") as caught:
        python("").run(context())
    assert not isinstance(caught.value, AirflowFailException)


def test_result_that_is_no_json_object_fails_loudly() -> None:
    with pytest.raises(AirflowException, match="without a result: got 'half of'"):
        shell("printf 'half of' > $MASKER_RESULT").run(context())


def test_bad_input_fails_without_retry_and_in_the_steps_words() -> None:
    with pytest.raises(AirflowFailException, match=r"No such option.*--nonsense"):
        ProcessFloor(["doctor", "--nonsense"], log=LOG).run(context())


def test_temporary_failure_may_be_retried() -> None:
    with pytest.raises(AirflowException, match=r"temporary failure.*: the disk is full") as caught:
        shell("echo the disk is full; exit 75").run(context())
    assert not isinstance(caught.value, AirflowFailException)


def test_any_other_failure_may_be_retried_and_shows_the_last_lines() -> None:
    with pytest.raises(AirflowException, match=r"exit code 1\): one\ntwo") as caught:
        shell("echo one; echo two >&2; exit 1").run(context())
    assert not isinstance(caught.value, AirflowFailException)


def test_killed_step_says_that_memory_may_be_short() -> None:
    with pytest.raises(AirflowException, match="lack of memory"):
        shell("kill -KILL $$").run(context())


def test_step_knows_its_task_and_run() -> None:
    names = sorted(contract.environment(contract.identity(context())))
    known = f"{{n: os.environ[n] for n in {names}}}"
    code = f"import json, os; json.dump({known}, open(os.environ['MASKER_RESULT'], 'w'))"
    assert python(code).run(context(try_number=3)) == {
        "MASKER_STEP_DAG_ID": "ingest_faces",
        "MASKER_STEP_RUN_ID": "manual__1",
        "MASKER_STEP_TASK_ID": "ingest",
        "MASKER_STEP_MAP_INDEX": "-1",
        "MASKER_STEP_TRY_NUMBER": "3",
        "MASKER_CORRELATION_ID": "manual__1",
    }


def test_step_does_not_get_airflows_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BANK", "http://user:password@bank")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("AWS_PROFILE", "store")
    names = "[n for n in os.environ if n.startswith('AIRFLOW') or n == 'AWS_PROFILE']"
    code = f"import json, os; json.dump({{'names': {names}}}, open(os.environ['MASKER_RESULT'], 'w'))"
    assert python(code).run(context()) == {"names": ["AWS_PROFILE"]}


def test_log_lines_arrive_while_the_step_runs(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    class Touch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "epoch_ended epoch=1 loss=0.5":
                seen.touch()

    line = json.dumps({"event": "epoch_ended", "level": "warning", "epoch": 1, "loss": 0.5, "timestamp": "now"})
    script = f"echo '{line}'; for i in $(seq 100); do [ -e {seen} ] && exit 75; sleep 0.1; done; exit 1"
    LOG.addHandler(handler := Touch())
    try:
        with pytest.raises(AirflowException, match="temporary"):
            shell(script).run(context())
    finally:
        LOG.removeHandler(handler)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"event": "masked", "level": "error", "n": 3, "logger": "x"}', (logging.ERROR, "masked n=3")),
        ('{"event": "masked"}', (logging.INFO, "masked")),
        ('{"event": "masked", "level": "chatty"}', (logging.INFO, "masked")),
        ('{"no": "event"}', (logging.INFO, '{"no": "event"}')),
        ("[1, 2]", (logging.INFO, "[1, 2]")),
        ("Traceback (most recent call last):", (logging.INFO, "Traceback (most recent call last):")),
    ],
)
def test_json_lines_become_readable_and_others_stay(line: str, expected: tuple[int, str]) -> None:
    assert process.readable(line) == expected


def test_timeout_leaves_no_process_behind(family: Family) -> None:
    script, pids = family
    with pytest.raises(AirflowTaskTimeout), timeout(1):  # type: ignore[no-untyped-call]
        shell(script).run(context())
    assert survivors(pids(), within=0) == []


def test_kill_ends_the_tree_and_the_task(family: Family) -> None:
    script, pids = family
    floor = shell(script)

    def kill_once_all_run() -> None:
        pids()
        floor.kill()

    killer = threading.Thread(target=kill_once_all_run)
    killer.start()
    with pytest.raises(AirflowException, match="stopped from outside"):
        floor.run(context())
    killer.join()
    assert survivors(pids(), within=0) == []


def test_kill_before_the_start_does_nothing() -> None:
    shell("true").kill()


def task_process(script: str) -> ForkProcess:
    """The same step, run by a task process of its own."""
    task = get_context("fork").Process(target=lambda: shell(script).run(context()))
    task.start()
    return task


def test_task_process_killed_leaves_no_process_behind(family: Family) -> None:
    script, pids = family
    task = task_process(script)
    members = pids()
    task.kill()
    task.join()
    assert survivors(members, within=process.STOP_S) == []


def test_next_attempt_ends_the_one_before_it_first(family: Family) -> None:
    # Airflow took the first attempt for dead (no heartbeat); its process is alive all the same.
    script, pids = family
    first = task_process(script)
    members = pids()
    os.kill(first.pid or 0, signal.SIGSTOP)
    dead = " && ".join(f"! kill -0 {pid} 2>/dev/null" for pid in members)
    try:
        second = shell(f"{dead} && echo '{{}}' > $MASKER_RESULT")
        assert second.run(context(try_number=2)) == {}
    finally:
        first.kill()
        first.join()


def test_attempt_that_cannot_be_ended_is_named(tmp_path: Path) -> None:
    path = tmp_path / "task.lock"
    with (
        attempt.claimed(path, patience=0),
        pytest.raises(AirflowException, match=r"earlier attempt.*still running"),
        attempt.claimed(path, patience=0.2),
    ):
        raise AssertionError("two attempts hold the lock")


def test_tasks_do_not_wait_for_each_other(tmp_path: Path) -> None:
    one = contract.identity(context())
    paths = {
        attempt.path_of(tmp_path, step)
        for step in (
            one,
            *(one.model_copy(update={name: "5"}) for name in ("dag_id", "run_id", "task_id", "map_index")),
        )
    }
    assert len(paths) == 5
    assert attempt.path_of(tmp_path, one.model_copy(update={"try_number": 2})) == attempt.path_of(tmp_path, one)


def test_lock_is_free_again_after_the_step() -> None:
    began = time.monotonic()
    for try_number in (1, 2):
        python(FINISH).run(context(try_number))
    assert time.monotonic() - began < process.GRACE_S
