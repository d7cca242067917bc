"""The contract of a step: a typed result in, one small JSON object out, and an exit code that means something.

The result goes to the file named by `MASKER_RESULT` (Airflow reads it as the task's XCom) and, when the step
works for an Airflow task, also to the store under a key made of dag, run, task, map index and try: a deferrable
pod can end without its XCom (apache/airflow#73117), and then the stored copy is the record.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from identity_masker import artifacts
from identity_masker.settings import Settings, settings


def result_uri(config: Settings) -> str:
    """Where the stored copy of this step's result lives."""
    return artifacts.join(config.store, "results", f"{config.step.key()}.json")


def finish(result: BaseModel, *, as_json: bool = False) -> None:
    """Hand over the result of a step that succeeded."""
    document = result.model_dump(mode="json")
    record(document)
    if as_json:
        print(json.dumps(document, allow_nan=False))
    elif sys.stdout.isatty() and settings().result is None:
        Console().print(_table(document))
    elif settings().result is None:
        print(json.dumps(document, indent=2, allow_nan=False))


def record(document: dict[str, Any]) -> None:
    """Write `document` to the stored copy first and to the result file last: who sees the file, sees the rest."""
    config = settings()
    if config.step.known:
        artifacts.write_json(result_uri(config), document)
    if config.result is not None:
        artifacts.write_json(str(config.result), document)


def _table(document: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None)
    for name, value in document.items():
        table.add_row(name, json.dumps(value) if isinstance(value, (dict, list)) else str(value))
    return table
