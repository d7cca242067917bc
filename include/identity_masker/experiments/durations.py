"""Durations as people write them in a file: `90s`, `30m`, `12h`, `7d`, `2w`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
DAY = timedelta(days=1)


def parse(value: Any) -> Any:
    """`value` as a timedelta, if it is a text like `7d`; 0 is no time at all. Raises `ValueError` for anything else."""
    if isinstance(value, timedelta):
        return value
    if value == 0 and not isinstance(value, bool):
        return timedelta(0)
    found = PATTERN.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a duration: write a number and s, m, h, d or w, like 7d")
    return timedelta(**{UNITS[found[2]]: float(found[1])})


def written(value: timedelta) -> str:
    """`value` in the largest unit that it is a whole number of."""
    seconds = value.total_seconds()
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse),
    PlainSerializer(written, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*[smhdw]$", "examples": ["12h", "7d"]}),
]
