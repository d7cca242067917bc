"""The kinds of events and their columns: what a writer may append and what the compacted files hold."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from identity_masker.errors import BadInputError, NotFoundError

Kind = Literal["requests", "exposures", "outcomes", "examples"]
Type = Literal["text", "text?", "number", "number?", "integer", "integer?", "flag"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_LARGEST = 1 << 63
_WIDEST = sys.float_info.max
_YEAR_2000, _YEAR_2200 = 946_684_800_000_000, 7_258_118_400_000_000

COLUMNS: Mapping[Kind, Mapping[str, Type]] = {
    "requests": {
        "request_id": "text",
        "unit": "text",
        "variant": "text",
        "version": "text",
        "semver": "text",
        "latency_ms": "number",
        "status": "integer",
        "error": "text",
        "brightness": "number?",
        "contrast": "number?",
        "sharpness": "number?",
        "changed": "number?",
        "masked_code": "text?",
        "experiments": "text",
        "leak": "number?",
        "face_found": "integer?",
        "outside": "number?",
        "via": "text?",
        "source": "text?",
        "sample": "text?",
    },
    "exposures": {"experiment": "text", "unit": "text", "variant": "text", "forced": "flag", "attributes": "text"},
    "outcomes": {"unit": "text", "name": "text", "value": "number"},
    "examples": {"request_id": "text", "version": "text", "picture": "text"},
}
"""Beside these every event has `event_id` (text, unique) and `time` (UTC; microseconds since 1970 in a segment).

Of a sampled request, by the examiner (`masking.examination`): `leak` from 0 to 1, `face_found` 0 or 1, `outside` from
0 to 1. `via` is why the request went to its variant; `shadow` marks a copy whose answer nobody got.
`source` is the camera or stream that the client named. `sample` is where, in the store, the picture lies that came in,
if its people agreed to that and chance drew it.
"""

LATER = frozenset({"masked_code", "leak", "face_found", "outside", "via", "source", "sample"})
"""Columns that events written by earlier versions do not have; they are null there."""


def kind(name: str) -> Kind:
    """The kind called `name`. Raises `NotFoundError`."""
    for known in KINDS:
        if known == name:
            return known
    raise NotFoundError("there are no events of this kind", got=name, allowed=", ".join(KINDS))


def checked(kind: Kind, event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as a segment holds it: every column, `time` in microseconds.

    Raises `BadInputError` for a column that is missing, unknown or of another type. A number that is not finite
    becomes null where a column may be null, and is refused elsewhere. Columns that came `LATER` may be missing.
    """
    columns = COLUMNS[kind]
    wrong = sorted((event.keys() ^ {*columns, "event_id", "time"}) - (LATER & columns.keys()))
    if wrong:
        raise BadInputError(f"an event of {kind} has other columns", got=f"missing or unknown: {', '.join(wrong)}")
    row: dict[str, Any] = {"event_id": _text("event_id", event["event_id"]), "time": _microseconds(event["time"])}
    for name, type_ in columns.items():
        row[name] = _value(name, type_, event.get(name))
    return row


def _value(name: str, type_: Type, value: Any) -> Any:
    if value is None and type_.endswith("?"):
        return None
    if type_ in ("text", "text?"):
        return _text(name, value)
    if type_ == "flag" and isinstance(value, bool):
        return value
    if type_ in ("integer", "integer?") and type(value) is int and -_LARGEST <= value < _LARGEST:
        return value
    if type_ in ("number", "number?"):
        return _number(name, type_, value)
    raise _wrong(name, value, type_)


def _number(name: str, type_: Type, value: Any) -> float | None:
    finite = type(value) in (float, int) and -_WIDEST <= value <= _WIDEST
    if finite:
        return float(value)
    if type_ == "number?" and isinstance(value, float):
        return None
    raise _wrong(name, value, "a finite number")


def _text(name: str, value: Any) -> str:
    # Half a surrogate pair passes through JSON, and no file takes it.
    if isinstance(value, str) and (value.isascii() or value.encode(errors="replace").decode() == value):
        return value
    raise _wrong(name, value, "text")


def _microseconds(value: Any) -> int:
    if isinstance(value, int) and _YEAR_2000 <= value < _YEAR_2200:
        return value
    if isinstance(value, datetime) and value.tzinfo is not None:
        return round(value.timestamp() * 1_000_000)
    raise _wrong("time", value, "a time with its zone, or microseconds since 1970 of a year from 2000 to 2199")


def _wrong(name: str, value: Any, allowed: str) -> BadInputError:
    return BadInputError(f"the column {name} of an event has another type", got=type(value).__name__, allowed=allowed)
