"""Tables in Markdown."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers get a sensible number of digits."""
    lines = [heads, ["---"] * len(heads), *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def load_line() -> str:
    """How busy the machine was."""
    return f"Load of the machine at the end: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores."


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
