"""The process of a model: loads it once, and has a child compute with it, and another one when that has died.

Run as `python -m identity_masker.serving.engine.host CONTROL MEMORY SIZE FOLDER THREADS`; the first two are open files.
A child is a copy of this process (fork), so the model is there within milliseconds of a crash. This process itself
never computes: threads that compute do not survive being copied. It ends when its owner does, and the child too.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from identity_masker.errors import MaskerError
from identity_masker.serving.engine.messages import Arena, error_message, hear, tell

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker


def main(
    handed: Sequence[str], load: Callable[[Path, int], Masker], begin: Callable[[int], None] = lambda _threads: None
) -> None:
    """Load the model by `load(folder, threads)` and keep a child that masks with it. `handed`: see above.

    `begin(threads)` is called in each child first: threads of OpenMP that this process had would be lost by its copy.
    """
    control = socket.socket(fileno=int(handed[0]))
    arena = Arena(int(handed[1]), int(handed[2]))
    threads = int(handed[4])
    try:
        masker = load(Path(handed[3]), threads)
    except MaskerError as error:
        tell(control, error_message(error))
        return
    tell(control, {"architecture": masker.architecture, "size": masker.size})

    def child(calls: socket.socket) -> NoReturn:
        begin(threads)
        _mask_forever(calls, masker, arena)

    while _child_ended(control, child):
        continue


def _child_ended(control: socket.socket, child: Callable[[socket.socket], NoReturn]) -> bool:
    """Fork a child and wait for its end; False when it is the owner that has ended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        control.close()
        try:
            child(theirs)
        finally:
            # Without the clean-up of a process of which this one is a copy.
            os._exit(1)
    theirs.close()
    end = os.pidfd_open(pid)
    try:
        with ours:
            tell(control, {"pid": pid}, ours.fileno())
        ready, _, _ = select.select([control.fileno(), end], [], [])
    except OSError:
        ready = [control.fileno()]
    owner_ended = control.fileno() in ready
    if owner_ended:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(end)
    return not owner_ended


def _mask_forever(calls: socket.socket, masker: Masker, arena: Arena) -> NoReturn:
    """Answer calls until the owner closes the socket."""
    try:
        while True:
            call, _ = hear(calls)
            try:
                images = arena.pixels(call["shape"])
                masked = masker.mask(images, arena.read_keys(call["keys"]))
                arena.pixels(masked.shape)[...] = masked
                tell(calls, {"shape": masked.shape, "dtype": masked.dtype.name})
            except Exception as error:  # whatever the model raises is the answer to this call
                tell(calls, error_message(error))
    except EOFError:
        os._exit(0)


def _load(folder: Path, threads: int) -> Masker:
    # Idle threads of OpenMP otherwise spin on cores that others need; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from identity_masker.masking import loading

    masker = loading.load(folder, threads)
    _begin(1)
    return masker


def _begin(threads: int) -> None:
    """Compute each call with `threads` threads of torch, if that is what computes: graphs do not bring it.

    More than one a call loses on shared cores: OpenMP's barriers spin while a neighbour holds the other core.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main(sys.argv[1:], _load, _begin)
