"""Follow a chain of DAG runs, from the first through the runs that its asset events start, to the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from identity_masker.errors import MaskerError
from identity_masker.stack.airflow_api import FINAL, AirflowApi, Run, Task

POLL_SECONDS = 1.5
HANDOVER_SECONDS = 60
"""How long the scheduler may take to start the run that an asset event calls for."""


@dataclass(frozen=True)
class Finished:
    """A task that reached a final state."""

    run: Run
    task: Task


@dataclass(frozen=True)
class Running:
    """What is under way, for a status line."""

    names: tuple[str, ...]


def chain(api: AirflowApi, first: Run, last_dag: str, *, timeout: float) -> Iterator[Finished | Running]:
    """Yield what happens, in order, until a run of `last_dag` has succeeded.

    Raises `MaskerError` with the task and the end of its log when a run fails, when a run ends without starting
    the next, and after `timeout` seconds.
    """
    run, seen = first, set[tuple[str, int]]()
    deadline = time.monotonic() + timeout
    while True:
        state, tasks = api.run_state(run), api.tasks(run)
        for task in tasks:
            if task.state in FINAL and (task.name, task.map_index) not in seen:
                seen.add((task.name, task.map_index))
                yield Finished(run, task)
        yield Running(tuple(f"{run.dag_id}.{task.name}" for task in tasks if task.state in ("running", "deferred")))
        if state == "failed":
            raise _failure(api, run, tasks)
        if state == "success":
            if run.dag_id == last_dag:
                return
            run, seen = _next(api, run, tasks), set()
        elif time.monotonic() > deadline:
            raise MaskerError(f"{run.dag_id} did not end in time", got=f"state {state} after {timeout:.0f} s")
        time.sleep(POLL_SECONDS)


def _next(api: AirflowApi, run: Run, tasks: list[Task]) -> Run:
    """The run that the assets of `run` started. A skipped task means that the DAG decided to go no further."""
    skipped = next((task for task in tasks if task.state == "skipped"), None)
    if skipped is not None:
        raise MaskerError(f"{run.dag_id} stopped at {skipped.name}", got=f"\n{api.log_tail(run, skipped)}")
    found = _poll(lambda: api.started_by(run), HANDOVER_SECONDS)
    if not found:
        raise MaskerError(
            f"{run.dag_id} ended well but started no further run",
            got=f"no asset event of {run.run_id} led to a run",
            fix="see whether the next DAG is paused in the Airflow UI",
        )
    return found[-1]


def _failure(api: AirflowApi, run: Run, tasks: list[Task]) -> MaskerError:
    failed = next((task for task in tasks if task.state == "failed"), None)
    if failed is None:
        return MaskerError(f"{run.dag_id} failed", got=run.run_id)
    return MaskerError(f"{run.dag_id}.{failed.name} failed", got=f"\n{api.log_tail(run, failed)}")


def _poll(find: Callable[[], list[Run]], seconds: float) -> list[Run]:
    deadline = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found
