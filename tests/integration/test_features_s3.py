"""Features of a fleet of machines: tables in an object store, the newest values in one Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from tests.integration.test_features import add_users, ago, asked, redis
from tests.integration.test_snapshots_s3 import STORE, _environment, endpoint

from identity_masker.features.definitions import TRAINING
from identity_masker.features.places import FeaturePlaces
from identity_masker.features.repository import FeatureRepository

__all__ = ["_environment", "endpoint", "redis"]

pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "ResourceWarning")]


def test_one_machine_adds_a_second_materialises_and_a_third_looks_up(tmp_path: Path, redis: str) -> None:
    here, there, gateway = (FeaturePlaces(tmp_path / name, STORE, redis) for name in ("here", "there", "gateway"))
    now = datetime.now(UTC)
    FeatureRepository(here).apply(now - timedelta(hours=3))
    add_users(here, ago(hours=2), ("a", "pro", 0.5, ago(hours=2)))
    FeatureRepository(there).materialize(now)
    (found,) = FeatureRepository(gateway).online_view("user_profile", ["a"])
    assert (found["plan"], found["masking_strength"]) == ("pro", 0.5)
    later = pd.Timestamp(datetime.now(UTC))
    add_users(here, later, ("a", "free", 0.1, ago(hours=1)))
    joined = FeatureRepository(there).historical(asked(("a", "", ago(hours=3)), ("a", "", later)), TRAINING)
    assert [None if pd.isna(plan) else plan for plan in joined["plan"]] == [None, "free"]
