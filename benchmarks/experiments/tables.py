"""A table to print."""

from __future__ import annotations

from collections.abc import Sequence


def show(header: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for line in lines:
        print("| " + " | ".join(str(cell) for cell in line) + " |", flush=True)
