"""Pods of the real image whose versions 3 to 5 have the faults of `faulty_server`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.serving_stage import Place, place
from tests.integration.test_release import PACE

BROKEN, SLOW, LEAKY = "3", "4", "5"
SCRIPT = "faulty_server.py"
FAULTS = "faults"
PYTHON = ("python3", f"/opt/faults/{SCRIPT}")
SERVER = (*PYTHON, "serve")
PODS: dict[str, Any] = {
    "command": SERVER,
    "mounts": [{"name": "faults", "mount_path": "/opt/faults", "config_map": FAULTS}],
    "requests": {"cpu": "500m", "memory": "256Mi"},
}
"""What differs from `serving_stage.SMALL`."""

PACED = PODS | {"command": (*PYTHON, f"--pace={PACE}", "serve"), "batch": 32}
"""Calls take `PACE` seconds, those of version 4 half as long again."""


@contextmanager
def faulty_place(home: Path) -> Iterator[Place]:
    with place(home) as made:
        made.namespace.text_map(FAULTS, {SCRIPT: Path(__file__).with_name(SCRIPT).read_text(encoding="utf-8")})
        yield made
