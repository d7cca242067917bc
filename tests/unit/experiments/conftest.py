"""Small worlds: designs as people write them, and exposures and outcomes as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import settings

from identity_masker.documents import validated
from identity_masker.experiments.design import Experiment

settings.register_profile("no_deadline", deadline=None, print_blob=True)
settings.load_profile("no_deadline")

START = np.datetime64("2026-11-02T00:00:00", "us")
DAY_US = 86_400_000_000


def document(**changes: Any) -> dict[str, Any]:
    """An experiment's file as a mapping, with `changes` at the top level."""
    base: dict[str, Any] = {
        "name": "tint",
        "hypothesis": "People mask more with the warmer tint.",
        "status": "running",
        "variants": {"control": {"model": "champion", "weight": 0.5}, "warm": {"model": "challenger", "weight": 0.5}},
        "schedule": {"days": 5, "minimum_days": 0, "units_per_day": 1000},
        "metrics": [{"name": "masks", "kind": "count", "role": "goal"}],
        "analysis": {"window": "1d", "scale": "absolute"},
    }
    return base | changes


@pytest.fixture
def design() -> Callable[..., Experiment]:
    """Make an experiment from `document(**changes)`."""
    return lambda **changes: validated(Experiment, document(**changes), "experiment", "test")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from identity_masker.settings import settings as masker_settings

    monkeypatch.setenv("MASKER_HOME", str(tmp_path / "home"))
    masker_settings.cache_clear()


class World:
    """Units that enter over five days, and what they do."""

    def __init__(
        self, folder: Path, seed: int = 0, units: int = 2000, arms: tuple[str, ...] = ("control", "warm")
    ) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        self.units = np.array([f"u{k}" for k in range(units)])
        self.arm = self.rng.integers(0, len(arms), units)
        self.names = np.array(arms)
        self.entered = START + (self.rng.random(units) * 5 * DAY_US).astype("timedelta64[us]")
        self.outcomes: list[pl.DataFrame] = []

    def exposures(self, **columns: Any) -> pl.DataFrame:
        base = {"user": self.units, "variant": self.names[self.arm], "timestamp": self.entered}
        return pl.DataFrame(base | columns)

    def happen(
        self, name: str, mean: np.ndarray, value: float = 1.0, hours: tuple[float, float] = (0.0, 24.0)
    ) -> pl.DataFrame:
        """Poisson many outcomes `name` a unit, within so many hours after exposure."""
        who = np.repeat(np.arange(self.units.size), self.rng.poisson(mean, self.units.size))
        after = (hours[0] + self.rng.random(who.size) * (hours[1] - hours[0])) * 3.6e9
        rows = pl.DataFrame(
            {
                "user": self.units[who],
                "outcome": np.full(who.size, name),
                "value": np.full(who.size, value),
                "timestamp": self.entered[who] + after.astype("timedelta64[us]"),
            }
        )
        self.outcomes.append(rows)
        return rows

    def files(self, exposures: pl.DataFrame | None = None, outcomes: pl.DataFrame | None = None) -> tuple[str, str]:
        """Write both as Parquet; returns their paths."""
        first, second = self.folder / "exposures.parquet", self.folder / "outcomes.parquet"
        (self.exposures() if exposures is None else exposures).write_parquet(first)
        (pl.concat(self.outcomes) if outcomes is None else outcomes).write_parquet(second)
        return str(first), str(second)


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    """Make a `World` in a folder of its own."""
    return lambda **settings: World(tmp_path, **settings)
