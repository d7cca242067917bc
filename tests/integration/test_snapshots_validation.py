"""Validation for real: pandera, Great Expectations checkpoints and Data Docs, on snapshots and on broken tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from identity_masker import artifacts
from identity_masker.cli.main import main
from identity_masker.errors import BadInputError, ConflictError
from identity_masker.faces.data_repository import Places
from identity_masker.faces.dataset_config import load_config
from identity_masker.faces.expectations import SITE, judge
from identity_masker.faces.findings import Finding
from identity_masker.faces.ingest import ingest
from identity_masker.faces.integrity import pixels, schema
from identity_masker.faces.rules import Rule
from identity_masker.faces.schema import DESCRIPTOR_TABLE, MANIFEST
from identity_masker.faces.snapshot import Snapshot, open_from
from identity_masker.faces.tables import image_table, ingestion_table, people_table
from identity_masker.faces.validation import Aids, RulesBrokenError, validate
from identity_masker.faces.versions import VersionStore
from identity_masker.settings import PROJECT, settings

pytestmark = pytest.mark.filterwarnings(
    # What DVC, Great Expectations and their dependencies do on import and in use.
    "ignore:_NoneStep.value will soon raise:DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
    "ignore:module 'sre_:DeprecationWarning",
)

NOW = datetime.now(UTC)
CONFIG = load_config("folder", PROJECT / "include" / "config")


def photos(folder: Path, people: int) -> Path:
    for person in range(people):
        (folder / f"person-{person}").mkdir(parents=True, exist_ok=True)
        for shot in range(2):
            blocks = np.random.default_rng([person, shot]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            path = folder / f"person-{person}" / f"{shot}.png"
            Image.fromarray(blocks).resize((64, 64), Image.Resampling.NEAREST).save(path)
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    home = tmp_path_factory.mktemp("home")
    return Places(home, f"file://{home}/store")


@pytest.fixture(scope="module")
def good(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    source = photos(tmp_path_factory.mktemp("good"), people=10)
    black = Image.new("RGB", (64, 64))
    black.save(source / "person-3" / "black.png")
    result = ingest(CONFIG.reading(source=source, images=None), places, workers=1)
    return open_from(str(result.version), places, validated=False)


def test_a_version_that_keeps_its_rules_can_be_used(good: Snapshot, places: Places) -> None:
    result = validate(good, CONFIG.rules, VersionStore(places.store))
    assert (result.ok, result.failed_rules) == (True, ())
    assert open_from(good.version, places).id == open_from("folder-latest", places).id == good.id
    report = json.loads(Path(result.report_uri.removeprefix("file://")).read_text())
    assert set(report["rules"]) == set(CONFIG.rules)
    assert {finding["rule"] for finding in report["findings"]} == {"pixels_intact", "schema", *CONFIG.rules}
    docs = Path(result.docs_uri.removeprefix("file://"))
    assert "may be used" in docs.read_text()
    assert good.version in (docs.parent / "data_docs" / "index.html").read_text()
    suites = [path.read_text() for path in (docs.parent / "data_docs" / "expectations").glob("*.html")]
    assert any(CONFIG.rules["few_refused"].why in suite for suite in suites)


def test_a_broken_stop_rule_closes_the_version(places: Places, tmp_path: Path) -> None:
    config = CONFIG.named("few").reading(source=photos(tmp_path / "photos", people=3), images=None)
    version = str(ingest(config, places, workers=1).version)
    snapshot = open_from(version, places, validated=False)
    with pytest.raises(RulesBrokenError, match=r"people_enough: expected people at least 8, found 3") as caught:
        validate(snapshot, config.rules, VersionStore(places.store))
    assert caught.value.exit_code == 2
    assert caught.value.result.ok is False
    assert "people_enough" in caught.value.result.failed_rules
    with pytest.raises(ConflictError, match=r"did not pass validation; got few-1\.0\.0, failed rules .*people_enough"):
        open_from(version, places)


def test_rules_find_what_they_ask_for_and_name_examples(good: Snapshot, tmp_path: Path) -> None:
    told = {"why": "w", "fix": "f"}
    rules = {
        "dark": Rule(column="brightness", between=(0.05, None), severity="warn", **told),
        "mostly_lit": Rule(column="brightness", between=(0.05, None), mostly=0.9, severity="warn", **told),
        "mean": Rule(column="brightness", mean_between=(0.9, None), severity="stop", **told),
        "once": Rule(column="identity", unique=True, severity="warn", **told),
        "kinds": Rule(column="format", one_of=("JPEG",), severity="warn", **told),
        "pairs": Rule(table="people", column="images", between=(None, 2), severity="warn", **told),
        "counted": Rule(table="ingestion", column="inputs", between=(21, 21), severity="stop", **told),
    }
    found = {finding.rule: finding for finding in judge(tables(good), rules, tmp_path, "a run")}
    assert list(found) == list(rules)
    assert {name: finding.ok for name, finding in found.items()} == {
        "dark": False, "mostly_lit": True, "mean": False, "once": False, "kinds": False, "pairs": False,
        "counted": True,
    }  # fmt: skip
    assert (found["dark"].failed, found["dark"].checked, found["dark"].examples) == (1, 21, ("person-3/black.png",))
    assert (found["kinds"].failed, len(found["kinds"].examples)) == (21, 10)
    assert found["pairs"].examples == ("person-3",)
    mean = float(good.descriptors["brightness"].mean())
    assert float(str(found["mean"].observed)) == pytest.approx(mean, rel=1e-3)
    assert (tmp_path / SITE / "index.html").is_file()


def test_a_rule_on_an_unknown_column_is_a_mistake_in_the_rule(good: Snapshot, tmp_path: Path) -> None:
    rules = {"nose": Rule(column="nose", unique=True, severity="warn", why="w", fix="f")}
    with pytest.raises(BadInputError, match="'nose' in the rule nose; expected a column of images: name, identity"):
        judge(tables(good), rules, tmp_path, "a run")


def tables(snapshot: Snapshot) -> Any:
    return {
        "images": images(snapshot),
        "people": people_table(snapshot.manifest, None, NOW.date()),
        "ingestion": ingestion_table(snapshot.record, NOW),
    }


def images(snapshot: Snapshot) -> pd.DataFrame:
    return image_table(snapshot.table(MANIFEST), snapshot.table(DESCRIPTOR_TABLE)).copy()


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("split", "holdout", "split"),
        ("brightness", np.float32(1.5), "brightness"),
        ("brightness", np.float32("nan"), "brightness"),
        ("content_hash", "abc", "content_hash"),
        ("identity", "person-2", "one_split_a_person"),
        ("name", "person-0/1.png", "name"),
        ("width", 0, "width"),
    ],
)
def test_a_table_that_breaks_the_schema_is_found(good: Snapshot, column: str, value: Any, named: str) -> None:
    table = images(good)
    assert schema(table).ok
    everybody = good.manifest.groupby("identity")["split"].first()
    elsewhere = table.index[table["split"] != everybody["person-2"]][0]
    table.loc[elsewhere, column] = value
    finding: Finding = schema(table)
    assert not finding.ok
    assert finding.failed >= 1
    assert any(named in example for example in finding.examples)


def test_a_missing_column_breaks_the_schema(good: Snapshot) -> None:
    assert "sharpness" in " ".join(schema(images(good).drop(columns="sharpness")).examples)


def test_pixels_that_are_not_those_of_the_manifest_are_found(good: Snapshot) -> None:
    assert pixels(good).ok
    swapped = Snapshot(good.record, good.folder)
    manifest = good.manifest.copy()
    first, second = manifest.index[manifest["shard"] == manifest["shard"].iloc[0]][:2]
    manifest.loc[[first, second], "row"] = manifest.loc[[second, first], "row"].to_numpy()
    swapped.__dict__["manifest"] = manifest
    assert pixels(swapped).examples == (manifest.loc[first, "name"], manifest.loc[second, "name"])


def test_the_commands_print_one_json_object_and_end_with_the_right_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASKER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MASKER_THREADS", "1")
    settings.cache_clear()

    def masker(*arguments: str) -> tuple[int, Any, str]:
        code = main(["data", *arguments, "--json"])
        out, err = capfd.readouterr()
        return code, json.loads(out) if out else None, err

    code, ingested, _ = masker("ingest", "--source", str(photos(tmp_path / "photos", people=3)), "--name", "ours")
    assert (code, ingested["version"], ingested["inputs"]) == (0, "ours-1.0.0", 6)
    code, validated, errors = masker("validate", "--dataset", ingested["version"])
    assert (code, validated["ok"], validated["version"]) == (2, False, "ours-1.0.0")
    assert "masker: ours-1.0.0 may not be used" in errors
    code, listed, _ = masker("log")
    assert (code, [(row["version"], row["state"]) for row in listed["versions"]]) == (0, [("ours-1.0.0", "failed")])
    code, shown, _ = masker("show", "ours-1.0.0")
    assert (code, shown["state"], shown["record"]["snapshot"]) == (0, "failed", ingested["snapshot"])
    code, refused, errors = masker("ingest", "--source", str(photos(tmp_path / "one", people=1)))
    assert (code, refused["inputs"], refused["accepted"], refused["version"]) == (2, 2, 2, None)
    assert "1 person in 2 inputs" in errors
    code, nothing, errors = masker("show", "ours-7.0.0")
    assert (code, nothing) == (2, None)
    assert "no such dataset version" in errors


@pytest.fixture(autouse=True)
def _settings_of_each_test() -> Iterator[None]:
    yield
    settings.cache_clear()


def test_likeness_and_drift_are_found_and_shown(places: Places, tmp_path: Path) -> None:
    config = CONFIG.named("alike")
    source = photos(tmp_path / "photos", people=12)
    first = open_from(
        str(ingest(config.reading(source=source, images=None), places, 1).version), places, validated=False
    )
    versions = VersionStore(places.store)
    assert "like_the_version_before" not in validate(first, config.rules, versions).warnings
    split = first.manifest.groupby("identity")["split"].first()
    one = str(split.index[0])
    other = str(split.index[split != split.iloc[0]][0])
    Image.open(source / one / "0.png").save(source / other / "copy.jpg", quality=70)
    for person in range(12):
        for shot in range(4):
            pixels = np.random.default_rng([person, shot, 7]).integers(120, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((64, 64)).save(source / f"person-{person}" / f"light-{shot}.png")
    second = open_from(
        str(ingest(config.reading(source=source, images=None), places, 1).version), places, validated=False
    )
    before = versions.valid_before(second.record)
    assert before is not None
    assert before.version == first.version
    result = validate(second, config.rules, versions, Aids(before=first))
    found = {each["rule"]: each for each in json.loads(artifacts.read_bytes(result.report_uri))["findings"]}
    wrong = {"splits_share_no_picture", "nobody_under_two_names", "like_the_version_before"}
    assert wrong <= set(result.warnings)
    assert found["splits_share_no_picture"]["failed"] == 2
    told = found["splits_share_no_picture"]
    pairs = {(f"{one}/0.png", f"like {other}/copy.jpg"), (f"{other}/copy.jpg", f"like {one}/0.png")}
    assert set(zip(told["examples"], told["details"], strict=True)) == pairs
    assert "brightness" in found["like_the_version_before"]["examples"]
    page = artifacts.read_bytes(result.docs_uri).decode()
    assert page.count("data:image/png;base64,") >= 4


def test_consent_is_asked_of_each_person(places: Places, good: Snapshot, tmp_path: Path) -> None:
    table = tmp_path / "consent.csv"
    rows = [f"person-{person},2026-01-01," for person in range(9)]
    table.write_text("\n".join(["identity,given_on,withdrawn_on", *rows]))
    rules = {"consent_given": CONFIG.rules["consent_given"].model_copy(update={"severity": "stop"})}
    with pytest.raises(RulesBrokenError, match=r"consent_given.*1 of 10 rows broke it, for example person-9"):
        validate(good, rules, VersionStore(places.store), Aids(consent=str(table)))
    table.write_text("\n".join(["identity,given_on,withdrawn_on", *rows, "person-9,2026-01-01,"]))
    assert validate(good, rules, VersionStore(places.store), Aids(consent=str(table))).ok
