from __future__ import annotations

from pathlib import Path

import pytest

from identity_masker.drift.policy import FILE, DriftPolicy, load_policy
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.settings import PROJECT


def test_the_shipped_policy_is_the_default_but_for_what_it_says_of_columns_and_estimates() -> None:
    shipped = load_policy(PROJECT / "include" / "config" / FILE)
    traffic = shipped.traffic.model_copy(update={"estimates": {}, "columns": {}})
    assert shipped.model_copy(update={"traffic": traffic}) == DriftPolicy()


def test_every_column_of_the_shipped_policy_belongs_to_a_group() -> None:
    shipped = load_policy(PROJECT / "include" / "config" / FILE)
    assert all(shipped.traffic.group_of(name) for name in shipped.traffic.columns)
    assert all(shipped.traffic.group_of(rule.predicted) for rule in shipped.traffic.estimates.values())


def test_what_is_known_of_traffic_does_not_hold_for_other_tables() -> None:
    policy = DriftPolicy.model_validate(
        {"traffic": {"columns": {"changed": {"high": 1.0}}}, "columns": {"a": {"low": 0}}}
    )
    assert policy.column("changed").high is None
    assert policy.of_traffic().column("changed").high == 1.0
    assert policy.of_traffic().column("a").low == 0.0


def test_a_column_of_two_groups_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("traffic: {groups: {inputs: [brightness], outputs: [brightness]}}")
    with pytest.raises(BadInputError, match="columns in two groups: brightness"):
        load_policy(tmp_path / FILE)


@pytest.mark.parametrize("present", [{"columns"}, {"columns", "quality"}, {"columns", "embeddings", "quality"}])
def test_levels_of_a_night_and_the_slow_test_add_up_to_the_stated_rate(present: set[str]) -> None:
    policy = DriftPolicy.model_validate({"false_alarms": {"nights": 100}})
    families = frozenset(present)
    total = sum(policy.alpha(family, families) for family in present) + policy.alpha("slow", families)
    assert total == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("false_alarms: {shares: {columns: 0.9}}", "add up to 1.4"),
        ("floors: {numeric: -1}", "floors.numeric"),
        ("colums: {}", "colums"),
        ("version: 2", "version"),
        ("- a\n- b", "mapping"),
        ("columns: {a: {kind: text}}", "columns.a.kind"),
    ],
)
def test_wrong_policies_are_refused_with_the_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "drift.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=said):
        load_policy(path)


def test_missing_and_broken_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no drift policy"):
        load_policy(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(BadInputError, match="is not YAML"):
        load_policy(tmp_path / "broken.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert load_policy(tmp_path / "empty.yaml") == DriftPolicy()
