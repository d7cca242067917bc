from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from identity_masker.errors import BadInputError, ConflictError, NotFoundError, TemporaryError
from identity_masker.serving import deploy as deploying
from identity_masker.serving.control import Control, Endpoint
from identity_masker.serving.deploy import Candidate, DeployOptions, deploy
from identity_masker.serving.routing import RoutingTable, Variant


class ListedRegistry:
    """A registry whose versions are listed here."""

    def __init__(self) -> None:
        self.versions = {"1": "1.0.0", "2": "1.1.0", "3": "2.0.0"}
        self.rejected = {"3"}
        self.aliases: dict[str, str | None] = {"challenger": "1"}

    def resolve(self, reference: str) -> Candidate:
        version = self.aliases.get(reference) or reference
        if version not in self.versions:
            raise NotFoundError("no such version", got=reference)
        return Candidate(version, self.versions[version], version in self.rejected)

    def name_champion(self, version: str, previous: str | None) -> None:
        self.aliases.update(champion=version, previous=previous)


def endpoint(version: str = "1", slot: str = "", state: str = "ready", **fields: object) -> Endpoint:
    return Endpoint.model_validate(
        {
            "owner": "test",
            "slot": slot or f"{version}-0",
            "version": version,
            "url": f"http://127.0.0.1/{version}",
            "pid": 0,
            "state": state,
            **fields,
        }
    )


def options(reference: str, timeout: float = 5.0) -> DeployOptions:
    return DeployOptions(reference=reference, timeout=timeout, author="test")


@pytest.fixture(autouse=True)
def _no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(deploying, "POLL_SECONDS", 0.02)


@pytest.fixture
def registry() -> ListedRegistry:
    return ListedRegistry()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with Control(f"sqlite:///{tmp_path}/control.db") as opened:
        yield opened


@contextmanager
def fleet_that(control: Control, state: str = "ready", detail: str = "") -> Iterator[None]:
    """Brings every wanted version at once to `state`."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            for deployment in control.deployments():
                control.record_endpoint(endpoint(deployment.version, state=state, detail=detail))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_first_version_serves_everybody(control: Control, registry: ListedRegistry) -> None:
    with fleet_that(control):
        result = deploy(options("challenger"), registry, control)
    assert result.model_dump() == {
        "version": "1",
        "semver": "1.0.0",
        "revision": 1,
        "endpoints": ["http://127.0.0.1/1"],
        "previous": None,
    }
    revision = control.revision()
    assert revision is not None
    assert (revision.table.champion_version, revision.author) == ("1", "test")
    assert registry.aliases["champion"] == "1"


def test_the_next_version_replaces_it_and_is_the_same_when_repeated(control: Control, registry: ListedRegistry) -> None:
    with fleet_that(control):
        deploy(options("1"), registry, control)
        first = deploy(options("2"), registry, control)
        again = deploy(options("champion"), registry, control)
    assert first == again
    assert (first.revision, first.previous) == (2, "1")
    assert [d.version for d in control.deployments()] == ["2"]
    assert (registry.aliases["champion"], registry.aliases["previous"]) == ("2", "1")


def test_back_to_the_version_before(control: Control, registry: ListedRegistry) -> None:
    with fleet_that(control):
        for version in ("1", "2", "1"):
            result = deploy(options(version), registry, control)
    assert (result.version, result.previous, result.revision) == ("1", "2", 3)


def test_a_deployment_that_died_after_the_switch_is_finished_by_the_next_call(
    control: Control, registry: ListedRegistry
) -> None:
    class Killed(ListedRegistry):
        def name_champion(self, version: str, previous: str | None) -> None:
            raise KeyboardInterrupt

    with fleet_that(control):
        deploy(options("1"), registry, control)
        with pytest.raises(KeyboardInterrupt):
            deploy(options("2"), Killed(), control)
        result = deploy(options("2"), registry, control)
    assert (result.revision, result.previous) == (2, "1")
    assert (registry.aliases["champion"], registry.aliases["previous"]) == ("2", "1")
    assert [d.version for d in control.deployments()] == ["2"]


@pytest.mark.parametrize(("reference", "error"), [("3", BadInputError), ("nope", NotFoundError)])
def test_rejected_and_unknown_versions_change_nothing(
    control: Control, registry: ListedRegistry, reference: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        deploy(options(reference), registry, control)
    assert (control.revision(), control.deployments()) == (None, [])


def test_without_a_fleet_it_says_so_in_time_and_takes_the_wish_back(control: Control, registry: ListedRegistry) -> None:
    with pytest.raises(TemporaryError, match="masker fleet"):
        deploy(options("1", timeout=0.2), registry, control)
    assert (control.revision(), control.deployments()) == (None, [])


def test_a_server_that_does_not_come_up_is_told_with_its_last_reason(
    control: Control, registry: ListedRegistry
) -> None:
    with fleet_that(control):
        deploy(options("1"), registry, control)
    with fleet_that(control, "failed", "killed by signal SIGKILL"), pytest.raises(TemporaryError, match="SIGKILL"):
        deploy(options("2", timeout=0.3), registry, control)
    revision = control.revision()
    assert revision is not None
    assert revision.table.champion_version == "1"
    assert [d.version for d in control.deployments()] == ["1"]
    assert registry.aliases["champion"] == "1"


def test_a_server_that_refuses_ends_the_wait_at_once(control: Control, registry: ListedRegistry) -> None:
    control.record_endpoint(endpoint("2", state="refused", detail="from an earlier attempt"))
    time.sleep(0.05)
    began = time.monotonic()
    with (
        fleet_that(control, "refused", "the weights are not the ones that were saved"),
        pytest.raises(BadInputError, match="weights"),
    ):
        deploy(options("2", timeout=30), registry, control)
    assert time.monotonic() - began < 5


def test_an_endpoint_without_a_heartbeat_does_not_count(control: Control, registry: ListedRegistry) -> None:
    control.record_endpoint(endpoint("1"))
    with control._transaction() as connection:
        connection.exec_driver_sql("UPDATE endpoints SET heartbeat = heartbeat - 60")
    with pytest.raises(TemporaryError, match="no fleet"):
        deploy(options("1", timeout=0.2), registry, control)


def test_a_canary_in_progress_ends_and_the_salt_stays(control: Control, registry: ListedRegistry) -> None:
    table = RoutingTable(
        variants={
            "champion": Variant(version="1", semver="1.0.0", share=0.9),
            "canary": Variant(version="2", semver="1.1.0", share=0.1),
        },
        salt="pepper",
    )
    control.write_routing(table, expected=0, author="a", reason="canary")
    with fleet_that(control):
        deploy(options("2"), registry, control)
    revision = control.revision()
    assert revision is not None
    assert list(revision.table.variants) == ["champion"]
    assert (revision.table.champion_version, revision.table.salt) == ("2", "pepper")


def test_somebody_elses_write_in_between_is_a_conflict(control: Control, registry: ListedRegistry) -> None:
    class Racing(Control):
        def revision(self) -> None:  # type: ignore[override]
            return None  # as it was before the other wrote

    with fleet_that(control):
        deploy(options("1"), registry, control)
        racing = Racing(str(control._engine.url))
        with racing, pytest.raises(ConflictError):
            deploy(options("2"), registry, racing)
