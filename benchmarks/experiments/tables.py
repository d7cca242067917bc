"""A table to print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def show(header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Print a table in Markdown, each line as soon as it is there."""
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for line in lines:
        print("| " + " | ".join(str(cell) for cell in line) + " |", flush=True)
