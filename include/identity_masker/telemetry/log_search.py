"""Every log line of one request, over all processes: by its id, and by the trace that its lines name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import NotFoundError

PATTERN = "*.log*"
"""Logs of processes, with those that were rotated (`gateway.log.1`)."""


class Line(BaseModel):
    """A line and the file, or process, that wrote it. `fields`: what it says beside time, level and event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    timestamp: str = ""
    level: str = ""
    event: str = ""
    fields: dict[str, Any] = Field(default_factory=dict)

    def text(self) -> str:
        """As a person reads it."""
        rest = " ".join(f"{name}={_shown(value)}" for name, value in self.fields.items() if name != "exception")
        return f"{self.timestamp} {self.source:<10} {self.level:<7} {self.event} {rest}".rstrip()


class Found(BaseModel):
    """The lines of a request, in the order of their times."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: str
    traces: list[str]
    lines: list[Line]


class _Read(NamedTuple):
    source: str
    raw: str
    line: Line


def search(request: str, folders: Iterable[Path], stream: TextIO | None = None) -> Found:
    """All lines whose request_id is `request`, and all of their traces.

    `stream`: more lines, of other machines. Raises `NotFoundError` when there are none.
    """
    searched = list(folders)
    kept = list(stream or ())
    named = [read for read in _read(searched, kept, (request,)) if read.line.fields.get("request_id") == request]
    traces = sorted({str(trace) for read in named if (trace := read.line.fields.get("trace_id"))})
    # The trace also has lines that know no request id: those of a batch, or of another service of the same caller.
    traced = [read for read in _read(searched, kept, traces) if read.line.fields.get("trace_id") in traces]
    every = {(read.source, read.raw): read.line for read in (*named, *traced)}
    if not every:
        raise NotFoundError(
            "no log line has this request id",
            got=request,
            allowed="the x-request-id of an answer of this installation",
            fix="look on the machine that answered; searched: " + (", ".join(map(str, searched)) or "nothing"),
        )
    lines = sorted(every.values(), key=lambda line: line.timestamp)
    return Found(request=request, traces=traces, lines=lines)


def _read(folders: list[Path], kept: list[str], wanted: Iterable[str]) -> Iterator[_Read]:
    """The lines that hold one of `wanted` somewhere."""
    words = tuple(wanted)
    if not words:
        return
    for folder in folders:
        for path in sorted(folder.rglob(PATTERN)):
            if path.is_file():
                with path.open(encoding="utf-8", errors="replace") as file:
                    yield from _parsed(path.name.split(".log")[0], file, words)
    yield from _parsed("-", kept, words)


def _parsed(source: str, lines: Iterable[str], words: tuple[str, ...]) -> Iterator[_Read]:
    for text in lines:
        if any(word in text for word in words):
            # `kubectl logs --prefix` puts the pod's name before the line.
            before, brace, rest = text.partition("{")
            fields = _fields(brace + rest)
            if fields is not None:
                yield _Read(source, text, _line(before.strip(" []\n") or source, fields))


def _fields(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _line(source: str, fields: dict[str, Any]) -> Line:
    known = {name: str(fields.pop(name, "")) for name in ("timestamp", "level", "event")}
    return Line(source=source, **known, fields=fields)


def _shown(value: object) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, default=str)
