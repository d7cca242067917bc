from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.experiments import catalog
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.durations import parse, written

PROJECT = Path(__file__).parents[3]
Make = Callable[..., Experiment]
MASKS = {"name": "masks", "kind": "count", "role": "goal"}


def test_the_example_of_the_configuration_folder_is_valid() -> None:
    example = catalog.load("softer-skin", PROJECT / "include" / "config" / "experiments")
    assert example.control == "control"
    assert example.treatments == ("softer",)
    assert example.window_of(example.metric("retained")) == timedelta(days=7)


def test_the_schema_in_docs_is_the_one_of_the_code() -> None:
    stored = json.loads((PROJECT / "docs" / "experiment.schema.json").read_text())
    assert stored == Experiment.model_json_schema(), "run: masker experiments schema > docs/experiment.schema.json"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"variants": {"a": {"model": "x", "weight": 0.5}, "b": {"model": "y", "weight": 0.6}}}, "sum to 1.1"),
        ({"variants": {"a": {"model": "x", "weight": 1.0}}}, "variants"),
        ({"variants": {"a": {"model": "", "weight": 0.5}, "b": {"model": "y", "weight": 0.5}}}, "model"),
        ({"variants": {"a": {"weight": 0.5}, "b": {"model": "y", "weight": 0.5}}}, "model"),
        ({"variants": {"a": {"model": "x", "weight": -0.5}, "b": {"model": "y", "weight": 1.5}}}, "weight"),
        ({"name": "Bad Name"}, "name"),
        ({"hypothesis": "short"}, "hypothesis"),
        ({"colour": "red"}, "colour"),
        ({"metrics": []}, "metrics"),
        ({"metrics": [MASKS, MASKS]}, "same name"),
        ({"metrics": [MASKS | {"role": "secondary"}]}, "goal"),
        ({"metrics": [MASKS | {"role": "guardrail"}]}, "margin"),
        ({"metrics": [MASKS | {"margin": 0.1}]}, "margin"),
        ({"metrics": [MASKS | {"kind": "ratio"}]}, "denominator"),
        ({"metrics": [MASKS | {"denominator": "x"}]}, "denominator"),
        ({"metrics": [MASKS | {"kind": "quantile"}]}, "quantile"),
        ({"metrics": [MASKS | {"kind": "quantile", "quantile": 0.5, "covariate": "7d"}]}, "quantile"),
        ({"metrics": [MASKS | {"kind": "median"}]}, "kind"),
        ({"metrics": [MASKS | {"window": "1d", "delay": "2d"}]}, "window"),
        ({"metrics": [MASKS | {"delay": "2d"}]}, "window"),
        ({"metrics": [MASKS | {"window": "soon"}]}, "duration"),
        ({"metrics": [MASKS | {"window": 7}]}, "duration"),
        ({"metrics": [MASKS | {"winsorise": {}}]}, "winsorise"),
        ({"metrics": [MASKS | {"kind": "proportion", "winsorise": {"value": 1}}]}, "winsorised"),
        ({"metrics": [MASKS | {"kind": "proportion", "baseline": {"mean": 3}}]}, "between 0 and 1"),
        ({"targeting": {"device": {"like": "x"}}}, "operator"),
        ({"forced": {"me": "cold"}}, "cold"),
        ({"layer": {"name": "look", "slot": [0.5, 0.5]}}, "empty"),
        ({"layer": {"name": "look", "slot": [0.5, 1.5]}}, "slot"),
        ({"coverage": 0}, "coverage"),
        ({"schedule": {"days": 0}}, "days"),
        ({"analysis": {"alpha": 0.9}}, "alpha"),
        ({"analysis": {"spending": "haybittle"}}, "spending"),
        ({"analysis": {"method": "fixed", "unscheduled_share": 0.1}}, "unscheduled_share"),
        ({"bandit": {"floor": 0.49}, "variants": {n: {"model": "m", "weight": 1 / 3} for n in "abc"}}, "floor"),
        ({"bandit": {}, "metrics": [MASKS | {"kind": "quantile", "quantile": 0.5}]}, "bandit"),
        ({"bandit": {}, "analysis": {"stratify_by": "device"}}, "stratify_by"),
        ({"fallback_unit": "user"}, "fallback"),
        ({"weight_changes": [{"at": "2026-11-03T00:00:00Z", "weights": {"control": 1.0}}]}, "weights"),
        ({"weight_changes": [{"at": "2026-11-03T00:00:00", "weights": {"control": 0.5, "warm": 0.5}}]}, "timezone"),
    ],
)
def test_wrong_designs_are_refused_with_the_field_that_is_wrong(
    design: Make, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadInputError, match=f"(?i){says}"):
        design(**changes)


def test_unknown_metric_is_named_with_the_known_ones(design: Make) -> None:
    with pytest.raises(BadInputError, match="masks"):
        design().metric("clicks")


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("1.5d", 129_600), ("2w", 1_209_600)]
)
def test_durations_are_read_and_written(text: str, expected: float) -> None:
    assert parse(text).total_seconds() == expected
    assert parse(written(parse(text))) == parse(text)
    assert parse(0) == timedelta(0)


def write(folder: Path, name: str, document: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))


def test_running_experiments_of_one_layer_must_not_overlap(design: Make, tmp_path: Path) -> None:
    base = json.loads(design().model_dump_json(exclude_unset=True))
    for name, slot in (("one", [0.0, 0.6]), ("two", [0.5, 1.0]), ("three", [0.0, 1.0])):
        layered = copy.deepcopy(base) | {"name": name, "layer": {"name": "look", "slot": slot}}
        write(tmp_path / "e", name, layered | ({"status": "draft"} if name == "three" else {}))
    with pytest.raises(BadInputError, match=r"one and two share 0.5 to 0.6"):
        catalog.load_all(tmp_path / "e")
    write(tmp_path / "e", "one", copy.deepcopy(base) | {"name": "one", "layer": {"name": "look", "slot": [0.0, 0.5]}})
    assert [each.name for each in catalog.load_all(tmp_path / "e")] == ["one", "three", "two"]


def test_a_short_slot_inside_a_long_one_is_found(design: Make) -> None:
    made = [
        design(name=name, layer={"name": "look", "slot": slot})
        for name, slot in (("long", [0.0, 1.0]), ("a", [0.1, 0.2]), ("b", [0.6, 0.7]))
    ]
    with pytest.raises(BadInputError, match="long"):
        catalog.check_layers([made[0], made[2]])


@pytest.mark.parametrize(
    ("text", "says"),
    [("- a\n- b\n", "mapping"), ("a: [", "YAML"), ("name: tint\n", "hypothesis")],
)
def test_files_that_are_no_experiment_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "tint.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=says):
        catalog.load(str(path))


def test_missing_files_and_names_are_told_from_wrong_ones(tmp_path: Path, design: Make) -> None:
    with pytest.raises(NotFoundError, match="softer-skin"):
        catalog.load("nothing", PROJECT / "include" / "config" / "experiments")
    with pytest.raises(NotFoundError):
        catalog.load(str(tmp_path / "nothing.yaml"))
    write(tmp_path / "e", "other", json.loads(design().model_dump_json(exclude_unset=True)))
    with pytest.raises(BadInputError, match="another name"):
        catalog.load("other", tmp_path / "e")
