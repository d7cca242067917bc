"""Which trace a request belongs to: the header traceparent of W3C Trace Context, in and out."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

HEADER = b"traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


class TraceContext(NamedTuple):
    """A span of a trace: 32 and 16 hexadecimal digits, not all zero."""

    trace_id: str
    span_id: str
    sampled: bool = False

    def header(self) -> str:
        """The value of traceparent that makes what receives it a child of this span."""
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED * self.sampled:02x}"

    def child(self) -> TraceContext:
        """A new span below this one."""
        return self._replace(span_id=_digits(16))


def new() -> TraceContext:
    """The first span of a new trace."""
    return TraceContext(_digits(32), _digits(16))


def parse(header: str) -> TraceContext | None:
    """What the header says; None where it is not valid (W3C Trace Context, 3.2), which starts a new trace.

    A version that is not known yet may carry more fields after those of today.
    """
    found = _FORM.fullmatch(header.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def received(headers: list[tuple[bytes, bytes]]) -> TraceContext | None:
    """The context in the headers of a request; None when there is none, or more than one."""
    found = [value for name, value in headers if name == HEADER]
    return parse(found[0].decode("latin-1")) if len(found) == 1 else None


def _digits(count: int) -> str:
    # Ids need to be unlike each other, not hard to guess. All zero is not an id.
    return f"{random.getrandbits(4 * count) or 1:0{count}x}"
