"""Some masked pictures are kept, so that a report on drift can show what changed. Never a picture that came in."""

from __future__ import annotations

import base64
import time
import uuid

from identity_masker.faces.decode import Limits, UndecodableError, decode
from identity_masker.faces.normalise import square
from identity_masker.serving.pictures import encode
from identity_masker.telemetry.events.writer import Writer

SIDE = 64


class Examples:
    """Appends a masked answer as an event at most once in `seconds`; never when that is 0. For one thread."""

    def __init__(self, writer: Writer, seconds: float) -> None:
        self._writer = writer
        self._seconds = seconds
        self._next = 0.0

    def offer(self, request_id: str, version: str, masked: bytes, at: int) -> None:
        """Keep the file `masked` of the request answered `at` microseconds since 1970, if it is time for one."""
        now = time.monotonic()
        if not self._seconds or now < self._next:
            return
        try:
            picture = thumbnail(masked)
        except UndecodableError:
            return
        self._next = now + self._seconds
        event = {"event_id": uuid.uuid4().hex, "time": at, "request_id": request_id, "version": version}
        self._writer.append({**event, "picture": base64.b64encode(picture).decode()})


def thumbnail(content: bytes) -> bytes:
    """The central square of a picture file at 64 × 64, as JPEG. Raises `UndecodableError`."""
    return encode(square(decode(content, Limits()), SIDE), "JPEG")
