"""State that a fresh stack does not have, written the way that the system itself writes it."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from prometheus_client import CollectorRegistry
from tests.unit.release.world import World

from identity_masker.release.rollout_log import RolloutLog
from identity_masker.serving.control import Control
from identity_masker.settings import PROJECT
from identity_masker.telemetry.events.kinds import COLUMNS, Kind
from identity_masker.telemetry.events.measures import EventMeasures
from identity_masker.telemetry.events.room import Bounds
from identity_masker.telemetry.events.writer import Writer

EXPERIMENT = "same-masker"
USERS = 400


def config_with_a_running_experiment(folder: Path) -> Path:
    """A copy of include/config in which the A/A experiment runs."""
    shutil.copytree(PROJECT / "include" / "config", folder)
    path = folder / "experiments" / f"{EXPERIMENT}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "status": "running"}))
    return folder


def events_of_three_days(folder: Path) -> None:
    """Requests, exposures and outcomes of the last three days, in segments as the gateway would have left them."""
    rng = np.random.default_rng(5)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    write: dict[Kind, Writer] = {kind: _writer(kind, folder, start) for kind in ("requests", "exposures", "outcomes")}
    for user in range(USERS):
        unit, arm = f"{user:032x}", ("control", "again")[user % 2]
        moments = [start + timedelta(hours=float(hour)) for hour in sorted(rng.uniform(0, 71, rng.integers(2, 9)))]
        # Some of each day in any case, so that there is somebody to come back.
        moments = sorted([*moments, start + timedelta(hours=30 + user / USERS), start + timedelta(hours=60)])
        first = {"experiment": EXPERIMENT, "unit": unit, "variant": arm, "forced": False}
        write["exposures"].append({**_stamp(moments[0]), **first, "attributes": '{"device":"phone","region":"eu"}'})
        write["requests"].append_all([_request(unit, arm, moment, rng) for moment in moments])
        done = [("revenue", 0.5), ("retained", 1.0)] + ([("leak_reported", 1.0)] if user % 50 == 0 else [])
        write["outcomes"].append_all(
            [{**_stamp(moments[-1]), "unit": unit, "name": name, "value": value} for name, value in done]
        )
    for writer in write.values():
        writer.close()


def _writer(kind: Kind, folder: Path, start: datetime) -> Writer:
    """The segment is named for when it was opened: then, so that the hours since count as whole."""
    return Writer(kind, folder, Bounds(free_bytes=0), EventMeasures(CollectorRegistry()), clock=lambda: start)


def _stamp(moment: datetime) -> dict[str, object]:
    return {"event_id": uuid.uuid4().hex, "time": moment}


def _request(unit: str, arm: str, moment: datetime, rng: np.random.Generator) -> dict[str, object]:
    known = {
        "request_id": uuid.uuid4().hex, "unit": unit, "variant": "champion", "version": "1", "semver": "1.0.0",
        "latency_ms": float(rng.lognormal(4, 0.3)), "status": 200, "error": "", "brightness": 0.5, "contrast": 0.2,
        "sharpness": 0.1, "changed": 0.3, "experiments": json.dumps({EXPERIMENT: arm}),
    }  # fmt: skip
    # Columns that were added since are null, or empty where they may not be.
    columns = {name: known.get(name, "" if type_ == "text" else None) for name, type_ in COLUMNS["requests"].items()}
    return {**_stamp(moment), **columns}


def a_rollout(folder: Path, control_url: str, store: Path) -> None:
    """A rollout that was driven and judged in a world of its own: its states and looks, in this stack's places."""
    url = f"sqlite:///{folder}/world.db"
    with Control(url) as own, Control(control_url) as control:
        world = World(folder, own)
        world.start()
        world.run()
        entry = RolloutLog(own).newest()
        assert entry is not None
        RolloutLog(control).write(entry.rollout, expected=0)
    shutil.copytree(folder / "store" / "releases", store / "releases")


def a_night(folder: Path, store: Path, masker: Callable[..., str], version: str) -> None:
    """Two tables, compared by `masker drift compare`, as the verdict on last night's window."""
    rng = np.random.default_rng(3)
    for name, shift in (("reference", 0.0), ("current", 0.2)):
        table = pl.DataFrame(
            {"brightness": rng.normal(0.5 + shift, 0.1, 2000), "contrast": rng.normal(0.2, 0.05, 2000)}
        )
        table.write_parquet(folder / f"{name}.parquet")
    pair = ("--reference", str(folder / "reference.parquet"), "--current", str(folder / "current.parquet"))
    verdict = json.loads(masker("drift", "compare", *pair, "--json"))
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    names = (moment.strftime("%Y%m%dT%H%M%SZ") for moment in (end - timedelta(days=1), end))
    window = store / "drift" / version / "windows" / "--".join(names)
    window.mkdir(parents=True)
    leak = {"name": "identity_leak", "performance": {"mean": 0.02, "low": 0.01, "high": 0.03}}
    night = {"requests": 2000, "retrain": False, "faults": [], "missing_hours": [], "estimates": [leak]}
    (window / "verdict.json").write_text(json.dumps({**verdict, **night}))
