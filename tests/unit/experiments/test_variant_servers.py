from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.experiments.conftest import document
from tests.unit.serving.test_deploy import ListedRegistry, endpoint

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.serve_step import until_stopped
from identity_masker.experiments.variant_servers import Reconciler, pins
from identity_masker.release.target import FleetTarget
from identity_masker.serving.allocations import AllocationDocument, AllocationRevision
from identity_masker.serving.control import Control, Deployment
from identity_masker.serving.deploy import DeployOptions, deploy
from identity_masker.serving.holds import Holds
from identity_masker.serving.routing import only
from identity_masker.settings import settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Floor:
    """A control database in which version 1 is the champion and every version that is asked for is ready."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.holds = Holds(control)
        self.registry = ListedRegistry()
        self.registry.versions["4"] = "1.2.0"
        self.registry.aliases["challenger"] = "2"
        for version in ("1", "2", "4"):
            control.record_endpoint(endpoint(version))
        control.deploy(Deployment(version="1", semver="1.0.0", replicas=1), author="a", reason="r")
        control.write_routing(only("1", "1.0.0"), expected=0, author="a", reason="r")

    def reconcile(self, *running: Experiment, timeout: float = 0.3) -> Any:
        target = FleetTarget(self.control)
        return Reconciler(self.control, target, self.registry, timeout=timeout).reconcile(running)

    @property
    def deployed(self) -> dict[str, int]:
        return {each.version: each.replicas for each in self.control.deployments()}


@pytest.fixture
def floor() -> Iterator[Floor]:
    with Control(settings().control_url) as control:
        yield Floor(control)


def experiment(name: str = "tint", **models: str) -> Experiment:
    variants: Mapping[str, Any] = {
        variant: {"model": model, "weight": 1.0 / len(models)} for variant, model in models.items()
    }
    return Experiment.model_validate(document(name=name, variants=variants))


def test_every_variant_but_the_champion_gets_servers_and_is_held(floor: Floor) -> None:
    found = floor.reconcile(experiment(control="champion", warm="challenger", cold="4"))
    assert floor.deployed == {"1": 1, "2": 1, "4": 1}
    assert [(each.variant, each.version, each.semver) for each in found.held] == [
        ("warm", "2", "1.1.0"),
        ("cold", "4", "1.2.0"),
    ]
    assert pins(floor.holds.all()) == {("tint", "warm"): "2", ("tint", "cold"): "4"}


def test_the_same_again_writes_nothing(floor: Floor) -> None:
    running = experiment(control="champion", warm="challenger")
    assert floor.reconcile(running) == floor.reconcile(running)


def test_an_alias_that_moves_does_not_move_a_running_variant(floor: Floor) -> None:
    running = experiment(control="champion", warm="challenger")
    floor.reconcile(running)
    floor.registry.aliases["challenger"] = "4"
    assert [each.version for each in floor.reconcile(running).held] == ["2"]


def test_a_model_changed_under_a_running_experiment_is_refused(floor: Floor) -> None:
    floor.reconcile(experiment(control="champion", warm="2"))
    with pytest.raises(BadInputError, match=r"changed while it runs.*4, after 1\.1\.0.*new name"):
        floor.reconcile(experiment(control="champion", warm="4"))
    assert pins(floor.holds.all()) == {("tint", "warm"): "2"}


def test_an_experiment_that_ended_lets_its_servers_go(floor: Floor) -> None:
    floor.reconcile(experiment(control="champion", warm="2"), experiment("shade", control="champion", warm="4"))
    found = floor.reconcile(experiment("shade", control="champion", warm="4"))
    assert found.let_go == ["1.1.0"]
    assert floor.deployed == {"1": 1, "4": 1}


def test_servers_that_another_experiment_or_the_routing_table_needs_stay(floor: Floor) -> None:
    floor.reconcile(experiment(control="champion", warm="2"), experiment("shade", control="champion", warm="2"))
    assert floor.reconcile(experiment("shade", control="champion", warm="2")).let_go == []
    floor.control.write_routing(only("2", "1.1.0"), expected=1, author="a", reason="r")
    assert floor.reconcile().let_go == []
    assert floor.deployed["2"] == 1


def test_a_rejected_version_is_refused_and_the_other_experiments_are_served(floor: Floor) -> None:
    bad, good = experiment(control="champion", warm="3"), experiment("shade", control="champion", warm="4")
    with pytest.raises(BadInputError, match=r"rejected the model of variant warm of experiment tint.*2\.0\.0"):
        floor.reconcile(bad, good)
    assert floor.deployed == {"1": 1, "4": 1}


def test_a_version_that_nobody_takes_up_is_told_with_its_experiment_waiting(floor: Floor) -> None:
    floor.control.forget_endpoint("test", "2-0")
    with pytest.raises(TemporaryError, match=r"1\.1\.0 is ready after 0\.3 s.*nobody took it up"):
        floor.reconcile(experiment(control="champion", warm="2"))


def test_a_version_whose_server_refuses_is_told_at_once(floor: Floor) -> None:
    floor.control.forget_endpoint("test", "2-0")
    refused = endpoint("2", state="refused", detail="the files are others")
    speaker = threading.Timer(0.3, floor.control.record_endpoint, [refused])
    speaker.start()
    with pytest.raises(BadInputError, match=r"refuses version 1\.1\.0.*the files are others"):
        floor.reconcile(experiment(control="champion", warm="2"), timeout=60.0)
    speaker.join()


def test_several_problems_are_told_together(floor: Floor) -> None:
    with pytest.raises(BadInputError, match="not every variant can be served") as caught:
        floor.reconcile(experiment(control="champion", warm="3"), experiment("shade", control="champion", warm="9"))
    assert "tint" in str(caught.value)
    assert "no such version" in str(caught.value)


def test_a_deployment_leaves_the_servers_of_a_running_experiment(floor: Floor) -> None:
    floor.reconcile(experiment(control="champion", warm="2"))
    deploy(DeployOptions(reference="4", timeout=1.0, author="a"), floor.registry, floor.control)
    assert floor.deployed == {"2": 1, "4": 1}


def test_servers_go_only_after_the_stop_has_reached_every_gateway() -> None:
    document = AllocationDocument(
        state="stopped", weights={"a": 0.5, "b": 0.5}, applies_from=NOW + timedelta(seconds=20)
    )
    found = {"tint": [AllocationRevision("tint", 1, document, "a", "r", "")]}
    assert until_stopped(found, NOW) == 21.0
    assert until_stopped(found, NOW + timedelta(minutes=1)) == 0.0
    assert until_stopped({}, NOW) == 0.0
