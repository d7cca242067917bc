"""Follow a chain of DAG runs, from the first through the runs that its asset events start, to the last."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
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


Event = Finished | Running


def chain(api: AirflowApi, first: Run, dags: Sequence[str], *, timeout: float) -> Iterator[Event]:
    """Yield what happens, in order, until a run of each of `dags` has succeeded; `first` is of the first of them.

    Raises `MaskerError` with the task and the end of its log when a run fails, when a run ends without starting
    the next, and after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    run = first
    tasks = yield from _until_done(api, run, deadline)
    for following in dags[1:]:
        run = yield from _next(api, run, tasks, following, deadline)
        tasks = yield from _until_done(api, run, deadline)


def _until_done(api: AirflowApi, run: Run, deadline: float) -> Generator[Event, None, list[Task]]:
    """Yield what happens in one run until it has succeeded; return its tasks."""
    seen = set[tuple[str, int]]()
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
            return tasks
        if time.monotonic() > deadline:
            raise MaskerError(f"{run.dag_id} did not end in time", got=f"state {state}")
        time.sleep(POLL_SECONDS)


def _next(api: AirflowApi, run: Run, tasks: list[Task], following: str, deadline: float) -> Generator[Event, None, Run]:
    """Wait for the run of `following` that the assets of `run` start, and return it.

    A skipped task in a run that announced nothing means that the DAG decided to go no further; one that had nothing to
    do is skipped too. An earlier run that is still active comes first.
    """
    skipped = next((task for task in tasks if task.state == "skipped"), None)
    if skipped is not None and not api.announced(run):
        raise MaskerError(f"{run.dag_id} stopped at {skipped.name}", got=f"\n{api.log_tail(run, skipped)}")
    patience = time.monotonic() + HANDOVER_SECONDS
    while not (found := [made for made in api.started_by(run) if made.dag_id == following]):
        if api.active_runs(following):
            patience = time.monotonic() + HANDOVER_SECONDS
        if time.monotonic() > min(patience, deadline):
            raise MaskerError(
                f"{run.dag_id} ended well but no run of {following} started",
                got=f"no asset event of {run.run_id} led to one",
                fix=f"see whether {following} is paused in the Airflow UI",
            )
        yield Running(())
        time.sleep(POLL_SECONDS)
    return found[-1]


def _failure(api: AirflowApi, run: Run, tasks: list[Task]) -> MaskerError:
    failed = next((task for task in tasks if task.state == "failed"), None)
    if failed is None:
        return MaskerError(f"{run.dag_id} failed", got=run.run_id)
    return MaskerError(f"{run.dag_id}.{failed.name} failed", got=f"\n{api.log_tail(run, failed)}")
