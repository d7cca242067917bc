"""Stand between Airflow's task process and a step, as a pod's boundary does: nothing of the step outlives it.

    guard.py PARENT_PID GRACE_SECONDS COMMAND ARGUMENT…

- When the task process dies, however it dies, the whole process tree is stopped (`PR_SET_PDEATHSIG`).
- SIGTERM or SIGINT to the guard stops the tree: SIGTERM to every process, SIGKILL to what is left after the grace.
- When the command ends, what it left running is killed, also what moved to a session of its own: the guard is the
  subreaper of all of them (`PR_SET_CHILD_SUBREAPER`).

The exit code is the command's, 128 + n for signal n, 143 when the guard was told to stop. Linux only. Standard library
only: it runs isolated, and starts in 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOPPED = 128 + signal.SIGTERM
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
NOT_EXECUTABLE = 127
POLL_S = 0.05
# Processes in uninterruptible sleep do not die of SIGKILL; no reason to wait for them for ever.
KILL_WAIT_S = 5.0


def main(arguments: list[str]) -> int:
    parent, grace, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {*STOP_SIGNALS, signal.SIGCHLD})
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # died before the line above
        return STOPPED
    return guard(start(command), grace)


def start(command: list[str]) -> int:
    """Start `command` and return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # should the guard itself be killed
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvp(command[0], command)  # noqa: S606 - the command is Airflow's, no shell involved
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)
    finally:
        os._exit(NOT_EXECUTABLE)


def guard(child: int, grace: float) -> int:
    """Wait for `child` or for a signal to stop, then leave no process behind."""
    while True:
        if signal.sigwait({*STOP_SIGNALS, signal.SIGCHLD}) != signal.SIGCHLD:
            sweep(grace)
            return STOPPED
        status = reap().get(child)
        if status is not None:
            sweep(0.0)
            return status if status >= 0 else 128 - status


def sweep(grace: float) -> None:
    """Stop all descendants: SIGTERM, then SIGKILL for those that are left after `grace` seconds."""
    deadline = time.monotonic() + grace
    if grace:
        send(descendants(), signal.SIGTERM)
    while time.monotonic() < deadline and descendants():
        reap()
        time.sleep(POLL_S)
    deadline = time.monotonic() + KILL_WAIT_S
    # Again and again: a process may fork between the listing and the signal.
    while (left := descendants()) and time.monotonic() < deadline:
        send(left, signal.SIGKILL)
        reap()
        time.sleep(POLL_S)
    reap()


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def reap() -> dict[int, int]:
    """Exit codes of the children that have ended, by pid; negative for a signal."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def descendants() -> list[int]:
    """Pids of all processes below this one, those that only wait to be reaped left out."""
    parents = dict(filter(None, map(_parent, Path("/proc").iterdir())))
    below: list[int] = []
    front = {os.getpid()}
    while front:
        front = {pid for pid, parent in parents.items() if parent in front}
        below.extend(front)
    return below


def _parent(entry: Path) -> tuple[int, int] | None:
    if not entry.name.isdigit():
        return None
    try:
        # pid (name) state ppid …; the name may hold spaces and brackets
        state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else (int(entry.name), int(ppid))


def prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
