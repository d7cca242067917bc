"""`masker up`: start the stack, run the pipeline once, show what came out, serve until Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from identity_masker.errors import MaskerError
from identity_masker.settings import PROJECT, Settings
from identity_masker.stack import environment, follow, optional, ports, services, showcase, supervisor
from identity_masker.stack.airflow_api import AirflowApi, Run
from identity_masker.stack.home import Home

DAGS = ("ingest_faces", "train_masker", "deploy_masker")
PIPELINE_SECONDS = 3600.0
FIRST_DEPLOYMENT = "deploy_masker.choose"
BESIDE = "promote_canary releases it beside the champion: masker release status --watch"


class Progress:
    """Lines with the elapsed time, and a status line on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()
        self._status = console.status("")

    def elapsed(self) -> str:
        seconds = int(time.monotonic() - self._start)
        return f"{seconds // 60:2d}:{seconds % 60:02d}"

    def line(self, text: str) -> None:
        self._console.print(f"[dim]{self.elapsed()}[/dim]  {text}", highlight=False)

    def show(self, table: Table) -> None:
        self._console.print(table)

    def status(self, text: str) -> None:
        self._status.update(f"{self.elapsed()}  {text}")

    @contextmanager
    def live(self) -> Iterator[None]:
        with self._status:
            yield


def up(config: Settings, *, once: bool, parameters: dict[str, Any], console: Console) -> None:
    """Run the stack. With `once`, return when the pipeline has ended; else serve until SIGINT or SIGTERM.

    Raises `MaskerError` with the reason when the stack does not start or a step of the pipeline failed. Whatever
    happens, every process that was started is stopped.
    """
    home = Home(config.home)
    home.prepare()
    progress = Progress(console)
    with home.lock(), _termination():
        ports.check(config)
        try:
            _run(config, home, progress, once=once, parameters=parameters)
        except KeyboardInterrupt:
            progress.line("stopped by the user")
        finally:
            progress.line("everything is stopped")


def _run(config: Settings, home: Home, progress: Progress, *, once: bool, parameters: dict[str, Any]) -> None:
    variables = environment.processes(config, home) | optional.variables(config)
    progress.line(f"preparing Airflow's database in {home.root}")
    services.prepare_airflow(home, variables)
    progress.line("starting Airflow, MLflow, fleet and gateway")
    commands = {**supervisor.read_procfile(PROJECT / "Procfile"), **optional.commands(config, home)}
    with supervisor.running(commands, home, variables):
        api = services.airflow(config, home)
        with progress.live():
            services.wait_until_healthy(config, home, api, progress.status)
            services.wait_for_dags(api, DAGS, progress.status)
        progress.line("all services are healthy")
        failure = _pipeline(config, home, api, parameters, progress)
        if not once:
            _serve(home, progress)
    if failure is not None:
        raise failure


@contextmanager
def _termination() -> Iterator[None]:
    """SIGTERM and SIGHUP end the stack like Ctrl-C."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # A shell starts background jobs with SIGINT ignored; a stack must stop on it all the same.
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pipeline(
    config: Settings, home: Home, api: AirflowApi, parameters: dict[str, Any], progress: Progress
) -> MaskerError | None:
    """Run the chain and show its outcome; the error when it failed."""
    try:
        first = api.trigger(DAGS[0], parameters)
        progress.line(f"triggered {first.dag_id} through Airflow's REST API: {first.run_id}")
        runs, skipped = _follow(api, first, progress)
        results = {
            name: api.xcom(runs[dag], name)
            for dag, names in {"ingest_faces": ("ingest",), "train_masker": ("evaluate", "register")}.items()
            for name in names
        }
        picture = showcase.before_after(
            f"http://{config.host}:{config.gateway_port}", results["ingest"]["version"], home.before_after
        )
        results["release"] = BESIDE if FIRST_DEPLOYMENT in skipped else "serves all traffic"
        progress.show(summary(config, home, results, str(picture), progress.elapsed()))
    except MaskerError as error:
        progress.line(f"[red]failed[/red]: {error}")
        return error
    return None


def _follow(api: AirflowApi, first: Run, progress: Progress) -> tuple[dict[str, Run], set[str]]:
    """Follow the chain; its run of each DAG, and the tasks that were skipped, as DAG.TASK."""
    runs, skipped = {first.dag_id: first}, set[str]()
    with progress.live():
        for event in follow.chain(api, first, DAGS, timeout=PIPELINE_SECONDS):
            if isinstance(event, follow.Running):
                progress.status(", ".join(event.names) or "waiting for the scheduler")
                continue
            runs[event.run.dag_id] = event.run
            if event.task.state == "skipped":
                skipped.add(f"{event.run.dag_id}.{event.task.name}")
            mark = {"success": "[green]done[/green]", "skipped": "skip"}.get(event.task.state, event.task.state)
            progress.line(f"{mark}  {event.run.dag_id}.{event.task.name}  {event.task.seconds:.0f} s")
    return runs, skipped


def summary(config: Settings, home: Home, results: dict[str, Any], picture: str, elapsed: str) -> Table:
    """The closing table."""
    evaluation, register = results["evaluate"], results["register"]
    table = Table(title=f"Faces to a served masker in {elapsed.strip()}", show_header=False)
    for name, value in (
        ("dataset version", f"{results['ingest']['version']} ({results['ingest']['accepted']} faces)"),
        ("model version", f"{register['semver']} ({register['verdict']})"),
        ("release", results["release"]),
        ("re-identification before", f"{evaluation['rank1_clear']:.1%} rank-1 (chance {evaluation['chance']:.1%})"),
        ("after, naive attacker", f"{evaluation['rank1_masked_naive']:.1%}"),
        ("after, strong attacker", f"{evaluation['rank1_masked_strong']:.1%}"),
        ("masking API", f"http://{config.host}:{config.gateway_port}/docs"),
        ("Airflow", f"http://{config.host}:{config.airflow_port}  admin / {home.root}/airflow/passwords.json"),
        ("MLflow", config.tracking_uri),
        ("before and after", picture),
    ):
        table.add_row(name, value)
    return table


def _serve(home: Home, progress: Progress) -> None:
    """Wait for Ctrl-C. Raises `MaskerError` when the process manager itself has died."""
    progress.line("serving; Ctrl-C stops everything")
    try:
        while supervisor.processes(home):
            time.sleep(2)
    except KeyboardInterrupt:
        progress.line("stopping")
        return
    raise MaskerError("the process manager has died", fix=f"see {home.logs}/supervisord.log, then run again")
