"""The process manager of the embedded stack: the Procfile's processes under `supervisord`.

Supervisor restarts what dies, keeps a log file a process and stops whole process groups. It runs in a session of
its own, so that Ctrl-C reaches the command that follows the run, and that command stops the stack in order.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

# supervisord answers on a socket that only its owner can open.
from xmlrpc.client import Fault, ServerProxy  # nosec B411

from supervisor.xmlrpc import Faults, SupervisorTransport

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.stack.home import Home

STOP_SECONDS = 20
PROCFILE_LINE = re.compile(r"^(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>.+)$")


@dataclass(frozen=True)
class Process:
    """One supervised process as supervisord reports it."""

    name: str
    state: str
    pid: int
    description: str


def read_procfile(path: Path) -> dict[str, str]:
    """Name → shell command. Raises `BadInputError` with the line that is not `name: command`."""
    commands: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = PROCFILE_LINE.match(line)
        if match is None:
            raise BadInputError(f"{path.name} line {number} does not parse", got=line, allowed="`name: command`")
        commands[match["name"]] = match["command"]
    return commands


def configuration(commands: dict[str, str], home: Home) -> str:
    """The text of supervisord's configuration file."""
    sections = [
        f"[supervisord]\nlogfile={home.logs}/supervisord.log\npidfile={home.run}/supervisord.pid\nnodaemon=true\n"
        f"silent=true\nchildlogdir={home.logs}\n",
        f"[unix_http_server]\nfile={home.socket}\nchmod=0700\n",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
    ]
    for name, command in commands.items():
        quoted = f"exec {command}".replace("%", "%%").replace('"', '\\"')
        sections.append(
            f'[program:{name}]\ncommand=/bin/sh -c "{quoted}"\nredirect_stderr=true\n'
            f"stdout_logfile={home.logs}/{name}.log\nstdout_logfile_maxbytes=50MB\nstdout_logfile_backups=2\n"
            f"autorestart=true\nstartsecs=5\nstartretries=3\nstopasgroup=true\nkillasgroup=true\n"
            f"stopwaitsecs={STOP_SECONDS}\n"
        )
    return "\n".join(sections)


@contextmanager
def running(commands: dict[str, str], home: Home, environment: dict[str, str]) -> Iterator[None]:
    """All processes run inside the block and are stopped after it.

    Raises `MaskerError` when the process manager does not come up.
    """
    daemon = _start(commands, home, environment)
    try:
        yield
    finally:
        stop(home)
        daemon.wait(STOP_SECONDS)


def _start(commands: dict[str, str], home: Home, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    file, output = home.run / "supervisord.conf", home.logs / "supervisord.out"
    file.write_text(configuration(commands, home))
    home.socket.unlink(missing_ok=True)
    with output.open("wb") as stream:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(file)],
            env=environment,
            cwd=home.root,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if not _wait(10, lambda: _alive(home) or daemon.poll() is not None) or daemon.poll() is not None:
        daemon.kill()
        daemon.wait()
        raise MaskerError(
            "the process manager did not start", got=output.read_text().strip()[-500:], fix=f"see {output}"
        )
    return daemon


def processes(home: Home) -> list[Process]:
    """The processes of the stack that runs on this home; empty when none runs."""
    if not _alive(home):
        return []
    rows = cast(list[dict[str, Any]], _call(home, "getAllProcessInfo"))
    return [Process(row["name"], row["statename"], row["pid"], row["description"]) for row in rows]


def stop(home: Home) -> bool:
    """Stop every process and supervisord itself; whether there was anything to stop."""
    if not _alive(home):
        return False
    _call(home, "shutdown")
    if not _wait(STOP_SECONDS * 3, lambda: not _alive(home)):
        raise MaskerError("the stack did not stop", got=f"supervisord still answers on {home.socket}")
    return True


def _alive(home: Home) -> bool:
    if not home.socket.exists():
        return False
    try:
        _call(home, "getState")
    except OSError:
        return False
    return True


def _call(home: Home, method: str) -> Any:
    """One call over the socket, closed after it: the stack may go away between two calls.

    While it shuts down, supervisord refuses every call; it then reports no process.
    """
    transport = SupervisorTransport(None, None, f"unix://{home.socket}")
    try:
        return getattr(ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)()
    except Fault as error:
        if error.faultCode == Faults.SHUTDOWN_STATE:
            return []
        raise
    finally:
        transport.close()


def _wait(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False
