"""One experiment from events to evidence, report and weights, with a real MLflow server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.fleet_processes import free_ports
from tests.integration.mlflow_server import mlflow_server
from tests.unit.experiments.conftest import document
from tests.unit.experiments.stored_events import DAY, HOUR, START, exposure, hour_folder, outcome, put, simulated

from identity_masker import artifacts
from identity_masker.cli.main import main
from identity_masker.errors import BadInputError, ConflictError, NotFoundError
from identity_masker.experiments import archive, catalog, run_step, weights_step
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evaluation import evaluate
from identity_masker.experiments.result import Report
from identity_masker.registry import tracking
from identity_masker.settings import settings

Make = Callable[..., Any]
SCHEDULE = {"start": START.isoformat(), "days": 5, "minimum_days": 5, "units_per_day": 300}
MASKS = {"name": "masks", "kind": "count", "role": "goal", "covariate": "1d", "baseline": {"mean": 4.0, "sd": 4.0}}
SAVED = {"name": "saved", "kind": "count", "baseline": {"mean": 0.5, "sd": 1.0}}
END = START + 6 * DAY


pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:.*AnyType:UserWarning", "ignore:.*:FutureWarning:mlflow"),
]


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:

    with mlflow_server(tmp_path_factory.mktemp("mlflow"), free_ports(1)) as uri:
        yield uri


@pytest.fixture(autouse=True)
def world(tmp_path: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration with one running experiment, and a store of its own; the store's folder."""
    monkeypatch.setenv("MASKER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MASKER_MLFLOW_URI", mlflow)
    monkeypatch.setenv("MASKER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    tracking.client.cache_clear()
    configure()
    yield tmp_path / "home" / "store"
    tracking.client.cache_clear()
    settings.cache_clear()


def configure(**changes: Any) -> None:
    folder = settings().config_dir / "experiments"
    folder.mkdir(parents=True, exist_ok=True)
    found = document(schedule=SCHEDULE, metrics=[MASKS, SAVED], **changes)
    (folder / f"{found['name']}.yaml").write_text(yaml.safe_dump(found))


def traffic(store: Path, **changes: Any) -> None:
    simulated(catalog.load("tint"), store, **changes)


def test_an_effect_is_found_and_the_version_that_won_is_handed_over(world: Path) -> None:
    traffic(world, effects={"masks": 0.5})
    found = run_step.run("tint", END)
    assert (found.decision, found.winner, found.version, found.healthy) == ("ship", "warm", "2", True)
    assert found.promotion == "experiment__tint__20261108T000000Z"
    goal = next(each for each in stored_report(found).metrics if each.name == "masks")
    assert goal.interval is not None
    low, high = goal.interval
    assert low is not None and high is not None  # noqa: PT018
    assert 0.0 < low < 0.5 * 4.0 < high
    adjusted = run_step.adjust("tint", END)
    assert (adjusted.written, adjusted.state) == (True, "stopped")
    assert run_step.due([], END).experiments == []
    assert not run_step.adjust("tint", END).written


def stored_report(found: run_step.Evaluated) -> Report:
    name = archive.name_of(datetime.fromisoformat(found.as_of))
    return Report.model_validate(archive.read(found.experiment, name, "report.json"))


def test_everything_is_stored_and_can_be_judged_again(world: Path) -> None:
    traffic(world)
    found = run_step.run("tint", END)
    assert found.decision == "inconclusive"
    assert found.report is not None
    page = artifacts.read_bytes(found.report)
    assert found.report_bytes == len(page) < 500_000
    assert found.decision in page.decode()
    design = Experiment.model_validate(archive.read("tint", "latest", "design.json"))
    assert evaluate(design, archive.load("tint")) == stored_report(found)
    again = run_step.run("tint", END)
    assert again == found
    with tracking.calls() as client:
        names = {item.path for item in client.list_artifacts(found.mlflow_run, "2026-11-08T00-00")}
    assert {"2026-11-08T00-00/report.html", "2026-11-08T00-00/forest.png"} <= names


def test_an_hour_that_is_late_makes_the_day_incomplete_and_not_smaller(world: Path) -> None:
    traffic(world, effects={"masks": 0.5})
    marker = hour_folder(world, "requests", START + 50 * HOUR) / "_complete.json"
    kept = marker.read_bytes()
    marker.unlink()
    found = run_step.run("tint", END)
    assert (found.decision, found.winner, found.missing_hours, found.alert) == ("incomplete", None, 1, True)
    assert "1 hours of events are late or missing, the first 2026-11-04 02:00 UTC" in found.sentence
    assert not run_step.adjust("tint", END).written
    marker.write_bytes(kept)
    assert run_step.run("tint", END).decision == "ship"


def test_a_lost_day_is_incomplete(world: Path) -> None:
    traffic(world)
    shutil.rmtree(world / "events" / "exposures" / f"date={START + DAY:%Y-%m-%d}")
    assert run_step.run("tint", END).decision == "incomplete"


def test_before_the_first_unit_and_on_the_first_day_there_is_no_result(world: Path) -> None:
    found = run_step.run("tint", START + HOUR)
    assert (found.decision, found.alert, found.report) == ("incomplete", True, None)
    assert not run_step.adjust("tint", START + HOUR).written
    traffic(world)
    early = run_step.run("tint", START + 5 * HOUR)
    assert (early.decision, early.sentence) == ("incomplete", "No result yet: the first day of entry is not over.")


def test_an_old_day_again_leaves_the_latest_report(world: Path) -> None:
    traffic(world)
    run_step.run("tint", END)
    old = run_step.run("tint", END - 2 * DAY)
    assert old.evidence is not None
    assert archive.load("tint").as_of == END


def test_events_that_came_twice_count_once_and_units_of_two_variants_not_at_all(world: Path) -> None:
    traffic(world)
    before = run_step.run("tint", END)
    late = START + 30 * HOUR
    put(world, "exposures", [exposure("u", "control", late), exposure("u", "warm", late + HOUR)])
    put(world, "outcomes", [outcome("sim-0-1", "saved", late, event_id="twice") for _ in range(2)])
    after = run_step.run("tint", END)
    counts = archive.load("tint").counts
    assert (counts.duplicated_outcomes, counts.multiple_exposure) == (1, 1)
    assert after.units == before.units + 1


def test_a_variant_that_the_design_does_not_have_is_refused(world: Path) -> None:
    traffic(world)
    put(world, "exposures", [exposure("u", "cold", START + HOUR)])
    with pytest.raises(BadInputError, match=r"variants that the design does not have.*cold"):
        run_step.run("tint", END)


def test_an_outcome_that_is_no_number_leaves_no_estimate(world: Path) -> None:
    mean = {"name": "spent", "kind": "mean", "role": "goal"}
    folder = settings().config_dir / "experiments"
    (folder / "tint.yaml").write_text(yaml.safe_dump(document(schedule=SCHEDULE, metrics=[mean])))
    traffic(world)
    put(world, "outcomes", [outcome("sim-0-1", "spent", START + HOUR, float("nan"))])
    found = run_step.run("tint", END)
    assert (found.decision, found.faults) == ("unhealthy", ["invalid_data"])
    assert stored_report(found).metrics[0].estimate is None


def test_a_winner_of_several_versions_is_not_handed_over(world: Path) -> None:
    traffic(world, effects={"masks": 0.5})
    request = {"unit": "sim-0-1", "status": 200, "error": "", "latency_ms": 80.0, "version": "9", "time": START + HOUR}
    put(world, "requests", [{**request, "experiments": json.dumps({"tint": "warm"})}])
    found = run_step.run("tint", END)
    assert (found.decision, found.version) == ("ship", None)
    assert "several versions (2, 9)" in found.version_reason


def test_a_winner_without_a_model_version_is_not_handed_over(world: Path) -> None:
    configure(targeting={})
    traffic(world, effects={"masks": 0.5})
    evaluated = run_step.run("tint", END)
    experiment = catalog.load("tint")
    version, why = run_step.version_of(experiment, "warm", {})
    assert (evaluated.version, version) == ("2", None)
    assert "challenger cannot be resolved" in why


def test_weights_of_the_ledger_are_what_the_split_is_tested_against(world: Path) -> None:
    traffic(world)
    weights_step.change("tint", {"control": 0.9, "warm": 0.1}, author="ada", reason="a slip", stop=False)
    healthy = run_step.run("tint", END)
    assert healthy.healthy, "weights of today say nothing of the days before"
    assert healthy.allocation_revision == 1
    assert [each.reason for each in weights_step.history("tint").revisions] == ["a slip"]
    weights_step.change("tint", {}, author="ada", reason="enough", stop=True)
    with pytest.raises(ConflictError):
        end_with(healthy)


def end_with(found: run_step.Evaluated) -> None:
    """Let the stored report end the experiment, on the revision that it saw."""
    place = archive.uri("tint", archive.name_of(END), "result.json")
    artifacts.write_json(place, found.model_dump(mode="json") | {"allocation_revision": 0})
    weights_step.change("tint", {}, author="ada", reason="on", stop=False)
    run_step.adjust("tint", END)


def test_due_are_the_experiments_that_run_or_the_named(world: Path) -> None:
    configure(name="draft", status="draft")
    assert run_step.due([], END).model_dump() == {"as_of": "2026-11-08T00:00:00+00:00", "experiments": ["tint"]}
    assert run_step.due(["draft"], END).experiments == ["draft"]
    with pytest.raises(NotFoundError, match=r"got missing; expected draft, tint"):
        run_step.due(["missing"], END)
    layer = {"name": "look", "slot": [0.0, 0.6]}
    configure(layer=layer)
    configure(name="second", layer=layer)
    with pytest.raises(BadInputError, match="overlap"):
        run_step.due([], END)


def test_without_a_moment_the_last_midnight_counts() -> None:
    found = run_step.moment(None)
    assert (found.hour, found.minute, found.second, found.tzinfo) == (0, 0, 0, UTC)
    assert datetime.now(UTC) - found < timedelta(days=1)
    assert run_step.moment(datetime(2026, 11, 8)) == END


def test_the_commands_of_a_night(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> Any:
        assert main(["experiments", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    effects = '{"masks": 0.5}'
    simulated = ("--store", str(world), "--start", "2026-11-02", "--days", "5", "--units-per-day", "300")
    assert said("simulate", "tint", *simulated, "--effects", effects)["units"] == 1500
    assert said("due", "--as-of", "2026-11-08")["experiments"] == ["tint"]
    assert said("run", "tint", "--as-of", "2026-11-08T00:00:00+00:00")["decision"] == "ship"
    page = tmp_path / "page.html"
    assert said("report", "tint", "--output", str(page))["decision"] == "ship"
    assert said("adjust", "tint", "--as-of", "2026-11-08")["state"] == "stopped"
    shares = '{"control": 0.2, "warm": 0.8}'
    assert said("weights", "tint", "--set", shares, "--reason", "again", "--author", "ada")["state"] == "running"
    assert [each["author"] for each in said("weights", "tint")["revisions"]] == ["evaluate_experiments", "ada"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("weights", "tint", "--set", "{}", "--stop", "--reason", "r"),
        ("weights", "tint", "--stop"),
        ("weights", "tint", "--set", "nonsense", "--reason", "r"),
        ("weights", "tint", "--set", '{"control": true}', "--reason", "r"),
        ("weights", "tint", "--set", '{"control": 0.5, "warm": 0.6}', "--reason", "r"),
        ("run", "missing"),
        ("run", "tint", "--as-of", "yesterday"),
        ("due", "--names", "missing"),
        ("simulate", "tint", "--start", "2026-11-02"),
        ("simulate", "tint", "--store", "elsewhere", "--start", "2026-11-02", "--effects", '{"unknown": 1}'),
    ],
)
def test_wrong_arguments_exit_with_2(arguments: tuple[str, ...]) -> None:
    assert main(["experiments", *arguments]) == 2
