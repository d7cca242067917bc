"""A TCP line to the API server that can be cut and mended."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Line:
    """Listens on loopback and forwards to `target` until it is cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target, self._whole, self._open = target, True, True
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections and take no new ones."""
        self._whole = False
        self._hang_up()

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        self._open = False
        self._listener.close()
        self._hang_up()

    def _hang_up(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while self._open:
            with suppress(OSError):
                near, _ = self._listener.accept()
                if not self._whole:
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                for one, other in ((near, far), (far, near)):
                    self._connections.add(one)
                    threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := one.recv(65536):
                other.sendall(chunk)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        self._connections.discard(one)
