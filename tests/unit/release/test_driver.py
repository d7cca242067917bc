from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.release.world import World, policy
from tests.unit.serving.test_deploy import endpoint

from identity_masker.errors import BadInputError, ConflictError, NotFoundError, TemporaryError
from identity_masker.release.rollback import roll_back
from identity_masker.release.rollout_replay import replay
from identity_masker.serving.control import Control
from identity_masker.serving.holds import Hold, Holds
from identity_masker.serving.routing import RoutingTable, Variant, only

ROLLING = {"max_surge": 1, "max_unavailable": 0, "batches": [0.25, 0.25, 0.5], "soak_seconds": 20}


def test_a_healthy_version_gets_all_traffic_step_by_step_and_becomes_the_champion(world: World) -> None:
    world.start()
    done = world.run()
    assert (done.outcome, done.verdict) == ("promoted", "promote")
    assert world.shares() == [0.0, 0.1, 0.5, 1.0]
    assert list(world.table.variants) == ["champion"]
    assert world.table.champion_version == "2"
    assert world.registry.aliases == {"champion": "2", "previous": "1"}
    assert world.registry.tags["2"]["release_outcome"] == "promoted"
    assert world.deployed() == {"2": 1}


def test_the_old_champion_keeps_the_servers_that_an_experiment_holds(world: World) -> None:
    Holds(world.control).place(Hold("experiment:tint", "control", "1", "1.0.0", 1))
    world.start()
    assert world.run().outcome == "promoted"
    assert world.deployed() == {"1": 1, "2": 1}


def test_a_version_with_errors_is_taken_back_and_the_champion_was_never_out_of_place(world: World) -> None:
    world.gateway.error_shares["2"] = 0.05
    world.start()
    done = world.run()
    assert done.outcome == "rolled_back"
    assert "the canary is worse" in done.why
    assert max(world.shares()) < 1.0
    assert world.table.champion_version == "1"
    assert list(world.table.variants) == ["champion"]
    assert world.registry.aliases == {"champion": "1"}
    assert world.registry.tags["2"]["release_outcome"] == "rolled_back"
    assert world.deployed() == {"1": 1}


def test_errors_of_both_arms_neither_promote_nor_roll_back(world: World) -> None:
    world.gateway.error_shares = {"1": 0.1, "2": 0.1}
    world.start(policy(deadline={"seconds": 300, "then": "ask"}))
    done = world.run(lambda progress: progress.question != "")
    assert done.question == "deadline in stage 10 %"
    assert "both arms burn" in " ".join(done.reasons)
    world.driver().approve("ada")
    done = world.run(lambda progress: progress.stage == 1)
    assert done.outcome is None


def test_without_data_it_neither_promotes_nor_rolls_back_even_past_the_deadline(world: World) -> None:
    world.gateway.error_shares = {"1": 0.0, "2": 0.0}
    world.start(policy(deadline={"seconds": 100, "then": "roll_back"}))
    world.run(lambda progress: progress.looks == 1)
    world.gateway.silent = True
    done = world.run(lambda progress: progress.looks == 12)
    assert (done.verdict, done.stage, done.outcome) == ("hold", 0, None)
    assert "no traffic of the champion" in " ".join(done.reasons)
    assert done.question == "deadline in stage 10 %"
    world.gateway.silent = False
    done = world.run()
    assert (done.outcome, done.verdict) == ("rolled_back", "roll_back")
    assert "the policy says roll back" in done.why


def test_without_a_single_error_rare_is_enough(world: World) -> None:
    world.gateway.error_shares = {"1": 0.0, "2": 0.0}
    world.start()
    assert world.run().outcome == "promoted"


def test_a_gateway_that_starts_anew_costs_one_interval_and_no_verdict(world: World) -> None:
    world.start()
    world.run(lambda progress: progress.looks == 2)
    world.gateway.restart()
    assert world.run().outcome == "promoted"


def test_every_look_is_stored_and_gives_the_same_verdict_again(world: World) -> None:
    rollout = world.start()
    done = world.run()
    again = replay(rollout.id, world.store)
    assert len(again.looks) == done.looks > 3
    assert again.last.verdict == "promote"
    with pytest.raises(NotFoundError):
        replay("nothing", world.store)


def test_blue_green_switches_at_once_and_keeps_the_old_version_warm(world: World) -> None:
    section = {"preflight_share": 0.1, "preflight_seconds": 30, "keep_warm_seconds": 100}
    world.start(policy(strategy="blue_green", blue_green=section))
    world.run(lambda progress: progress.phase == "promoting" and progress.wait_seconds > 0)
    assert world.shares() == [0.0, 0.1, 1.0]
    assert world.registry.aliases["champion"] == "2"
    assert world.deployed() == {"1": 1, "2": 1}
    assert world.run().outcome == "promoted"
    switched = world.rollout.switched_at
    assert switched is not None
    assert world.rollout.phase_since - switched >= timedelta(seconds=100)
    assert world.deployed() == {"2": 1}


def test_rolling_replaces_replica_by_replica(tmp_path: Path) -> None:
    with Control(f"sqlite:///{tmp_path}/control.db") as control:
        world = World(tmp_path, control, replicas=4)
        world.start(policy(strategy="rolling", rolling=ROLLING))
        totals: set[int] = set()

        def observed(progress: object) -> bool:
            totals.add(sum(world.deployed().values()))
            return world.rollout.ended

        world.run(observed)
        assert world.rollout.outcome == "promoted"
        assert world.shares() == [0.0, 0.25, 0.5, 1.0]
        assert totals == {4, 5}
        assert world.deployed() == {"2": 4}


class SlowWorld(World):
    """Its fleet brings servers up late, and those that are no longer wanted still look ready for a while."""

    def __init__(self, folder: Path, control: Control) -> None:
        self.age: dict[str, int] = {}
        super().__init__(folder, control, replicas=4)
        self.age = dict.fromkeys(self.age, 4)
        self.fleet()

    def fleet(self) -> None:
        wanted = {f"{d.version}-{n}": d.version for d in self.control.deployments() for n in range(d.replicas)}
        self.age |= {slot: self.age.get(slot, -1) + 1 for slot in wanted}
        for slot, version in wanted.items():
            state = "ready" if self.age[slot] >= 4 else "starting"
            self.control.record_endpoint(endpoint(version, slot=slot, state=state, url=f"http://127.0.0.1/{slot}"))

    def certain(self) -> int:
        """Servers that are ready, and wanted."""
        wanted = {f"{d.version}-{n}" for d in self.control.deployments() for n in range(d.replicas)}
        return sum(self.age[slot] >= 4 for slot in wanted if slot in self.age)


def test_rolling_counts_on_no_server_that_is_about_to_go(tmp_path: Path) -> None:
    with Control(f"sqlite:///{tmp_path}/control.db") as control:
        world = SlowWorld(tmp_path, control)
        world.start(policy(strategy="rolling", rolling={**ROLLING, "max_unavailable": 0}))
        fewest: list[int] = []

        def observed(progress: object) -> bool:
            fewest.append(world.certain())
            return world.rollout.stage >= 2 or world.rollout.ended

        world.run(observed)
        assert min(fewest) >= 4


def test_rolling_back_restores_the_replicas_of_the_champion(tmp_path: Path) -> None:
    with Control(f"sqlite:///{tmp_path}/control.db") as control:
        world = World(tmp_path, control, replicas=4)
        world.start(policy(strategy="rolling", rolling=ROLLING))
        world.run(lambda progress: progress.stage == 1 and progress.phase == "soaking")
        assert world.deployed() == {"1": 2, "2": 2}
        world.driver().give_up("the test wants it")
        assert world.run().outcome == "rolled_back"
        assert world.deployed() == {"1": 4}


def test_a_candidate_that_does_not_come_up_is_given_up_before_any_traffic(world: World) -> None:
    world.unready.add("2")
    world.start()
    done = world.run()
    assert (done.outcome, world.shares()) == ("rolled_back", [0.0])
    assert "not ready within 60 s" in done.why
    assert world.deployed() == {"1": 1}


def test_a_lease_that_ran_out_gives_the_traffic_back_and_the_stage_begins_anew(world: World) -> None:
    world.start()
    world.run(lambda progress: progress.stage == 1 and progress.phase == "soaking" and progress.wait_seconds > 1)
    users = [f"user-{n}" for n in range(30)]
    assert {world.answered_by(user) for user in users} == {"1", "2"}
    world.moment += timedelta(seconds=31)  # nobody drives
    assert {world.answered_by(user) for user in users} == {"1"}
    looks = world.rollout.looks
    world.run(lambda progress: progress.phase == "soaking" and progress.looks == looks)
    assert {world.answered_by(user) for user in users} == {"1", "2"}
    assert world.run().outcome == "promoted"
    assert any("again to 50 %: the lease had run out" in event.what for event in world.rollout.events)


def test_the_lease_is_renewed_while_a_person_is_waited_for(world: World) -> None:
    world.start(policy(approval="before_full"))
    world.run(lambda progress: progress.question == "before_full")
    for _ in range(40):
        world.step()
        assert world.answered_by("nobody knows") in ("1", "2")
        assert not world.table.variants["canary"].leased_out(world.moment)
    world.driver().approve("ada")
    assert world.run().outcome == "promoted"
    assert [approval.author for approval in world.rollout.approvals] == ["ada"]


def test_a_policy_may_ask_before_any_traffic(world: World) -> None:
    world.start(policy(approval="before_traffic"))
    world.run(lambda progress: progress.wait_seconds == 30.0)
    assert (world.shares(), world.rollout.question) == ([0.0], "before_traffic")
    world.driver().approve("ada")
    assert world.run().outcome == "promoted"
    with pytest.raises(BadInputError, match="asks nothing"):
        world.driver().approve("ada")


def test_a_yes_may_come_before_the_question(world: World) -> None:
    world.start(policy(approval="before_traffic"))
    for _ in range(2):
        world.driver().approve("ada", "before_traffic")
    assert world.run().outcome == "promoted"
    assert len(world.rollout.approvals) == 1


def test_somebody_elses_deployment_ends_the_rollout_and_is_left_alone(world: World) -> None:
    world.start()
    world.run(lambda progress: progress.looks == 1)
    number = world.control.revision_number()
    world.control.write_routing(only("2", "1.1.0"), expected=number, author="person", reason="I know better")
    done = world.run()
    assert done.outcome == "rolled_back"
    assert "somebody else changed the champion" in done.why
    assert world.control.revision_number() == number + 1
    assert world.deployed()["2"] == 1


def test_a_second_rollout_is_refused_while_one_runs_and_the_same_one_is_found_again(world: World) -> None:
    first = world.start(key="run-1")
    assert world.start(key="run-1").id == first.id
    with pytest.raises(ConflictError, match="under way"):
        world.start(key="run-2")
    world.run()
    assert world.start(key="run-1").id == first.id
    with pytest.raises(BadInputError, match="champion already"):
        world.start(key="run-2")


def test_a_rollback_of_a_rollout_under_way_takes_the_candidate_out(world: World) -> None:
    rollout = world.start()
    world.run(lambda progress: progress.looks == 3)
    world.driver().give_up("somebody asked for it")
    assert world.run().outcome == "rolled_back"
    assert world.table.champion_version == "1"
    assert world.rollout.id == rollout.id


def test_a_rollback_after_the_switch_deploys_the_version_before(world: World) -> None:
    section = {"preflight_share": 0.1, "preflight_seconds": 30, "keep_warm_seconds": 1000}
    world.start(policy(strategy="blue_green", blue_green=section))
    world.run(lambda progress: progress.phase == "promoting" and progress.wait_seconds > 0)
    result = roll_back("previous", world.driver(), world.registry, world.control, author="ada", timeout=5)
    assert (result.version, result.rollout) == ("1", None)
    assert world.registry.aliases["champion"] == "1"
    world.fleet()
    world.run()
    assert world.table.champion_version == "1"
    assert world.deployed() == {"1": 1}


@pytest.mark.parametrize(
    ("reference", "changes", "error", "words"),
    [
        ("9", {}, NotFoundError, "no such version"),
        ("3", {}, BadInputError, "rejected"),
        ("1", {}, BadInputError, "champion already"),
        ("2", {"metrics": {"smiles": {"kind": "mean", "margin": 1.5}}}, BadInputError, "nothing measures"),
        (
            "2",
            {"strategy": "rolling", "rolling": {"max_surge": 0, "max_unavailable": 1}},
            BadInputError,
            "replaced in place",
        ),
    ],
)
def test_what_cannot_be_released_is_refused_and_nothing_changes(
    world: World, reference: str, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        world.start(policy(**changes), reference=reference)
    assert world.control.revision_number() == 1
    assert world.deployed() == {"1": 1}
    with pytest.raises(NotFoundError, match="no rollout"):
        world.driver().advance()


def test_shared_traffic_is_refused(world: World) -> None:
    variants = {
        "champion": Variant(version="1", semver="1.0.0", share=0.5),
        "softer": Variant(version="2", semver="1.1.0", share=0.5),
    }
    world.control.write_routing(RoutingTable(variants=variants), expected=1, author="experiment", reason="a/b")
    with pytest.raises(ConflictError, match="shared already"):
        world.start()


def test_without_a_champion_it_says_what_to_do(world: World, tmp_path: Path) -> None:
    with Control(f"sqlite:///{tmp_path}/empty.db") as empty:
        world.control = empty
        with pytest.raises(NotFoundError, match="masker deploy"):
            world.start()


def test_a_registry_that_is_away_delays_the_names_and_not_the_traffic(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise TemporaryError("MLflow does not answer")

    world.gateway.error_shares["2"] = 0.2
    world.start()
    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "note", away)
        with pytest.raises(TemporaryError):
            world.run()
        assert list(world.table.variants) == ["champion"]
    assert world.run().outcome == "rolled_back"
