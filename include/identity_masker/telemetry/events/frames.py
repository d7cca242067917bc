"""Length- and CRC-framed lines: what one append writes, and how it is read after a crash.

A line is `LENGTH CRC32 PAYLOAD\\n` with length and checksum of the payload in eight hexadecimal digits each. The
payload is JSON on one line, so a reader that meets damage finds the next whole event after the next line feed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

HEAD = 18
MAX_PAYLOAD = 1 << 20
"""Bytes of one event; a length beyond it is damage, and an append of it is refused."""


class Line(NamedTuple):
    """One line of a segment: the event, or None where the line is damaged; `end` is the offset behind it."""

    event: dict[str, Any] | None
    end: int


def frame(event: Mapping[str, Any]) -> bytes:
    """The line of one event."""
    payload = json.dumps(event, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %08x %s\n" % (len(payload), zlib.crc32(payload), payload)


def lines(file: IO[bytes]) -> Iterator[Line]:
    """The lines of a segment from its start. What follows a damaged line is read; a torn tail is one damaged line."""
    end = 0
    while raw := file.readline(HEAD + MAX_PAYLOAD + 1):
        end += len(raw)
        yield Line(parse(raw), end)


def parse(raw: bytes) -> dict[str, Any] | None:
    """The event of one line with its line feed; None when it is not whole."""
    payload = raw[HEAD:-1]
    if raw[:HEAD] != b"%08x %08x " % (len(payload), zlib.crc32(payload)) or raw[-1:] != b"\n":
        return None
    try:
        event = json.loads(payload)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
