"""Each change of a definition gets the number it deserves, and the history stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from identity_masker.features import versions
from identity_masker.features.definitions import USER_PROFILE, FeatureTable
from identity_masker.features.places import FeaturePlaces

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def places(tmp_path: Path) -> FeaturePlaces:
    return FeaturePlaces(tmp_path / "home", f"file://{tmp_path}/store")


def recorded(places: FeaturePlaces, table: FeatureTable, hour: int) -> list[tuple[str, str]]:
    found = versions.record(places, NOW + timedelta(hours=hour), {table.name: table})
    return [(each.version, each.change) for each in found]


def test_changes_are_numbered_by_what_they_break(places: FeaturePlaces) -> None:
    more = replace(USER_PROFILE, features={**USER_PROFILE.features, "language": "text"})
    retyped = replace(more, features={**more.features, "language": "integer"})
    fewer = replace(retyped, features={n: k for n, k in retyped.features.items() if n != "plan"})
    shorter = replace(fewer, ttl=timedelta(days=30))
    tables = [USER_PROFILE, USER_PROFILE, more, retyped, fewer, shorter]
    found = [recorded(places, table, hour) for hour, table in enumerate(tables)]
    assert found == [
        [("1.0.0", "first")], [], [("1.1.0", "minor")], [("2.0.0", "major")], [("3.0.0", "major")],
        [("3.0.1", "patch")],
    ]  # fmt: skip
    told = versions.history(places, "user_profile")
    assert [(each.added, each.removed) for each in told][1:4] == [(("language",), ()), ((), ()), ((), ("plan",))]
    assert versions.current(places)["user_profile"].version == "3.0.1"


def test_definitions_that_stayed_get_no_number(places: FeaturePlaces) -> None:
    assert {each.version for each in versions.record(places, NOW)} == {"1.0.0"}
    assert versions.record(places, NOW) == []
