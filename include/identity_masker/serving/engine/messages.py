"""What a server and the process of its model say to each other.

Small messages go over sockets that keep their bounds (SOCK_SEQPACKET); pixels and keys lie in memory that both map.
"""

from __future__ import annotations

import json
import mmap
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identity_masker import errors
from identity_masker.errors import MaskerError

MESSAGE_BYTES = 64 << 10
KEY_BYTES = 1 << 20
"""Of the keys of one call: room for 1,024 of the longest."""

Pixels = NDArray[np.uint8]


def tell(channel: socket.socket, document: dict[str, Any], *descriptors: int) -> None:
    """Send one message, and open files with it. Raises OSError when nobody is there."""
    socket.send_fds(channel, [json.dumps(document).encode()], descriptors)


def hear(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and the open files that came with it. Raises EOFError when the other side has ended."""
    try:
        content, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 1)
    except ConnectionResetError as error:
        raise EOFError from error
    if not content:
        raise EOFError
    return json.loads(content), descriptors


class Arena:
    """Memory for the pictures of one call, and behind them its keys. The masked take the places of the clear ones."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._memory = mmap.mmap(descriptor, size + KEY_BYTES)

    def pixels(self, shape: Sequence[int]) -> Pixels:
        """The pictures (N, H, W, 3): a view."""
        count = int(np.prod(shape))
        if count > self.size:
            raise MaskerError("a call is larger than the memory for it", got=f"{count} bytes", allowed=f"{self.size}")
        return np.frombuffer(self._memory, np.uint8, count).reshape(shape)

    def write_keys(self, keys: Sequence[str]) -> int:
        """Put the keys down; returns their bytes."""
        content = json.dumps(list(keys)).encode()
        if len(content) > KEY_BYTES:
            raise MaskerError("the keys of a call are too long", got=f"{len(content)} bytes", allowed=f"{KEY_BYTES}")
        self._memory[self.size : self.size + len(content)] = content
        return len(content)

    def read_keys(self, count: int) -> list[str]:
        keys: list[str] = json.loads(self._memory[self.size : self.size + count])
        return keys


def error_message(error: Exception) -> dict[str, Any]:
    """`error` as a message. Of an unforeseen one only its type: its text may quote what it worked on."""
    if not isinstance(error, MaskerError):
        return {"error": "MaskerError", "what": f"the model raised {type(error).__name__}"}
    kind = next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
    got = None if error.got is None else str(error.got)[:1000]
    return {"error": kind, "what": error.what, "got": got, "allowed": error.allowed, "fix": error.fix}


def raise_error(message: dict[str, Any]) -> None:
    """Raise the error of a message that holds one."""
    if "error" in message:
        kind = getattr(errors, message["error"])
        raise kind(message["what"], got=message.get("got"), allowed=message.get("allowed"), fix=message.get("fix"))
