"""Logs of a benchmark: errors only, on stderr."""

from __future__ import annotations

import sys

from identity_masker.telemetry import logs


def quiet() -> None:
    logs.configure(level="ERROR", correlation_id="", stream=sys.stderr, json_lines=True)
