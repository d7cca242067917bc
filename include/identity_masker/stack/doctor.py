"""Checks of an installation: what is there, what answers, what is missing and how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import Literal

import httpx
import sqlalchemy
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from identity_masker import artifacts
from identity_masker.alerts import config as alert_config
from identity_masker.alerts.channels import configured
from identity_masker.errors import MaskerError
from identity_masker.settings import PROJECT, Settings
from identity_masker.stack import optional, ports
from identity_masker.stack.home import NEEDED_BYTES

State = Literal["ok", "off", "missing"]
PACKAGES = ("apache-airflow", "mlflow", "dvc", "great-expectations", "feast", "torch", "kubernetes", "fastapi")
NEEDED_MEMORY = 6 << 30


class Check(BaseModel):
    """One finding: `ok`, `off` (not running, which may be meant) or `missing` (required and not there)."""

    name: str
    state: State
    detail: str
    fix: str = ""


class Report(BaseModel):
    """`ok` is false when anything required is missing."""

    ok: bool
    checks: list[Check]


def examine(config: Settings) -> Report:
    """Run every check. Nothing is changed."""
    checks = [
        _python(),
        *(_package(name) for name in PACKAGES),
        _program("airflow", "activate the environment: `. .venv/bin/activate`"),
        _disk(config.home),
        _memory(),
        _store(config),
        _control_database(config),
        _service("mlflow", f"{config.tracking_uri}/health"),
        _service("airflow", f"http://{config.host}:{config.airflow_port}/api/v2/monitor/health"),
        _service("gateway", f"http://{config.host}:{config.gateway_port}/health/live"),
        _service("alerts", f"http://{config.host}:{config.alerts_port}/health/live"),
        _alert_channels(config),
        _service("exporter", f"http://{config.host}:{config.exporter_port}/metrics"),
        *(_optional(program) for program in optional.PROGRAMS.values()),
        *_ports(config),
        _kubernetes(needed=config.target == "kubernetes"),
    ]
    return Report(ok=all(check.state != "missing" for check in checks), checks=checks)


def show(report: Report) -> None:
    """Print the report for a person."""
    table = Table(show_header=False, box=None)
    colours = {"ok": "green", "off": "yellow", "missing": "red"}
    for check in report.checks:
        fix = f"  → {check.fix}" if check.fix else ""
        table.add_row(f"[{colours[check.state]}]{check.state}[/]", check.name, f"{check.detail}{fix}")
    Console().print(table)


def _python() -> Check:
    version = platform.python_version()
    if version.startswith("3.11."):
        return Check(name="python", state="ok", detail=version)
    return Check(name="python", state="missing", detail=version, fix="use Python 3.11")


def _package(name: str) -> Check:
    locked = _locked_version(name)
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name=name, state="missing", detail="not installed", fix="run `make setup`")
    if locked and installed.split("+")[0] != locked:
        return Check(name=name, state="missing", detail=f"{installed}, the lock says {locked}", fix="run `make setup`")
    return Check(name=name, state="ok", detail=installed)


def _locked_version(name: str) -> str | None:
    lock = PROJECT / "requirements.txt"
    if not lock.exists():
        return None
    pins = (line.split("==", 1) for line in lock.read_text().splitlines() if line.startswith(f"{name}=="))
    return next((version.split()[0].split(";")[0] for _, version in pins), None)


def _program(name: str, fix: str) -> Check:
    path = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    return Check(
        name=f"program {name}", state="ok" if path else "missing", detail=path or "not found", fix="" if path else fix
    )


def _optional(name: str) -> Check:
    """A program that the stack starts where it is installed, and does without elsewhere."""
    path = shutil.which(name)
    if path:
        return Check(name=f"program {name}", state="ok", detail=f"{path}: `make run` starts it")
    fix = f"for its metrics install it: `apt install {name}`"
    return Check(name=f"program {name}", state="off", detail="not installed: `make run` does without it", fix=fix)


def _disk(home: Path) -> Check:
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    enough = free >= NEEDED_BYTES
    return Check(
        name="disk",
        state="ok" if enough else "missing",
        detail=f"{free >> 30} GiB free at {folder}",
        fix="" if enough else f"free {NEEDED_BYTES >> 30} GiB or set MASKER_HOME to another disk",
    )


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    enough = total >= NEEDED_MEMORY
    return Check(
        name="memory",
        state="ok" if enough else "missing",
        detail=f"{total >> 30} GiB",
        fix="" if enough else f"the stack needs {NEEDED_MEMORY >> 30} GiB",
    )


def _store(config: Settings) -> Check:
    probe = artifacts.join(config.store, ".doctor")
    try:
        artifacts.write_bytes(probe, b"ok")
        system, path = artifacts.split(probe)
        system.rm(path)
    except (MaskerError, OSError) as error:
        return Check(name="store", state="missing", detail=f"{config.store}: {error}", fix="check MASKER_STORE_URI")
    return Check(name="store", state="ok", detail=config.store)


def _control_database(config: Settings) -> Check:
    url = sqlalchemy.make_url(config.control_url)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return Check(name="control database", state="off", detail=f"{shown} not made yet", fix="`make run` makes it")
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1"))
    except sqlalchemy.exc.SQLAlchemyError as error:
        return Check(
            name="control database", state="missing", detail=f"{shown}: {error}", fix="check MASKER_CONTROL_DB"
        )
    finally:
        engine.dispose()
    return Check(name="control database", state="ok", detail=shown)


def _service(name: str, url: str) -> Check:
    try:
        answer = httpx.get(url, timeout=2)
    except httpx.TransportError:
        return Check(name=name, state="off", detail=f"{url} does not answer", fix="`make run` starts it")
    healthy = answer.status_code == httpx.codes.OK
    return Check(name=name, state="ok" if healthy else "off", detail=f"{url} answers {answer.status_code}")


def _alert_channels(config: Settings) -> Check:
    name = "alert channels"
    try:
        wanted = alert_config.load(config.config_dir)
        there = configured.channels(wanted, config)
    except MaskerError as error:
        return Check(name=name, state="missing", detail=str(error), fix="see docs/alerts.md")
    missing = "; ".join(f"{channel} needs {needs}" for channel, needs in configured.missing(wanted, there).items())
    found = ", ".join(there)
    return Check(name=name, state="off" if len(there) == 1 else "ok", detail=found, fix=missing and f"set: {missing}")


def _ports(config: Settings) -> list[Check]:
    """Ports are free while the stack is off, and held by it while it runs: both are fine, and both are said."""
    return [
        Check(
            name=f"port {port}",
            state="ok",
            detail=f"{name}: {'in use' if ports.in_use(config.host, port) else 'free'} ({variable})",
        )
        for name, (port, variable) in ports.wanted(config).items()
    ]


def _kubernetes(*, needed: bool) -> Check:
    from kubernetes import client
    from kubernetes import config as kubernetes_config

    try:
        with redirect_stdout(sys.stderr):  # where the client prints that it has no configuration
            kubernetes_config.load_config()
        version = client.VersionApi(client.ApiClient()).get_code(_request_timeout=3)
    except Exception as error:  # the client raises a different type for each way a cluster can be away
        reason = str(error).strip().splitlines()[0]
        fix = "set KUBECONFIG, or MASKER_TARGET=local" if needed else "only pods need it; set KUBECONFIG"
        return Check(name="kubernetes", state="missing" if needed else "off", detail=reason, fix=fix)
    return Check(name="kubernetes", state="ok", detail=str(version.git_version))
