"""A TCP line to the API server that can be cut and mended."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

TICK = 0.1


class Line:
    """Listens on loopback and forwards to `target` until it is cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target, self._whole, self._open = target, True, True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TICK)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """End all connections and take no new ones."""
        self._whole = False

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        self._open = self._whole = False
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            with suppress(OSError):
                near, _ = self._listener.accept()
                if self._whole:
                    self._threads.append(threading.Thread(target=self._carry, args=(near,)))
                    self._threads[-1].start()
                else:
                    near.close()

    def _carry(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(self._target) as far:
            other = {near: far, far: near}
            while self._whole:
                for one in select.select([near, far], [], [], TICK)[0]:
                    chunk = one.recv(65536)
                    if not chunk:
                        return
                    other[one].sendall(chunk)
