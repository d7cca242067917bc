"""Whether the masking API answers with the version that was deployed."""

from __future__ import annotations

import struct
import time
import zlib
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException

# The gateway looks at the routing table every second; the rest is for a busy machine.
PATIENCE_S = 60.0
PAUSE_S = 1.0
REQUEST_TIMEOUT_S = 20.0


def masks_a_picture(*, connection: str, version: str) -> dict[str, Any]:
    """Send pictures until `version` masks one; what it answered.

    Raises `AirflowException` when that does not happen within `PATIENCE_S` seconds.
    """
    import httpx

    gateway = Connection.get(connection)
    url, headers = address(gateway) + "/v1/mask", {"content-type": "image/png", **bearer(gateway)}
    sent, deadline = picture(), time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = httpx.post(url, content=sent, headers=headers, timeout=REQUEST_TIMEOUT_S)
            wrong = _wrong(answer, sent, version)
        except httpx.TransportError as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong is None:
            return {"url": url, "version": version, "request_id": answer.headers.get("x-request-id", "")}
        if time.monotonic() > deadline:
            raise AirflowException(
                f"{url} does not mask with version {version} after {PATIENCE_S:.0f} s: {wrong}; "
                f"to fix: check the connection {connection} and `masker status`"
            )
        time.sleep(PAUSE_S)


def bearer(connection: Any) -> dict[str, str]:
    """The token for a gateway that asks for one: the connection's password."""
    return {"authorization": f"Bearer {connection.password}"} if connection.password else {}


def address(connection: Any, port_of: str = "") -> str:
    """The base URL of an HTTP connection; its extra may name another port for what `port_of` says."""
    number = connection.extra_dejson.get(port_of) or connection.port
    port = f":{number}" if number else ""
    return f"{connection.schema or 'http'}://{connection.host}{port}"


def picture(size: int = 64) -> bytes:
    """A PNG of `size` × `size` pixels: two colour gradients."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(size) for value in (4 * x % 256, 4 * y % 256, 128)) for y in range(size)
    )
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _wrong(answer: Any, sent: bytes, version: str) -> str | None:
    if answer.status_code != 200:
        return f"status {answer.status_code}: {answer.text[:300]}"
    if not answer.headers.get("content-type", "").startswith("image/"):
        return f"content type {answer.headers.get('content-type')}"
    if answer.headers.get("x-model-version") != version:
        return f"still version {answer.headers.get('x-model-version')}"
    return "the picture came back unchanged" if answer.content == sent else None
