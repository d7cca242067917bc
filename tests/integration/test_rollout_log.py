"""The chain of rollouts on both backends of the control database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.test_serving_control import control, postgres_url, url  # noqa: F401 - fixtures
from tests.unit.release.world import BEGIN, policy

from identity_masker.errors import ConflictError, MaskerError, NotFoundError
from identity_masker.release.rollout import Rollout, Side
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.serving import schema
from identity_masker.serving.control import Control


def rollout(name: str = "1.1.0-r1", **changes: object) -> Rollout:
    side = Side(version="2", semver="1.1.0", replicas=1)
    known = {"id": name, "key": "", "author": "test", "policy_name": "canary", "policy": policy(), "candidate": side}
    times = dict.fromkeys(("started_at", "phase_since", "stage_since"), BEGIN)
    champion = Side(version="1", semver="1.0.0", replicas=2)
    return Rollout.model_validate({**known, **times, "champion": champion, **changes})


def test_a_state_is_read_back_whole(control: Control) -> None:  # noqa: F811
    log = RolloutLog(control)
    assert log.newest() is None
    first = rollout().noting(BEGIN, "début 🚀")
    assert log.write(first, expected=0) == log.newest() == (1, first)
    assert log.find("1.1.0-r1") == first
    with pytest.raises(NotFoundError):
        log.find("9.9.9-r9")


def test_the_last_state_of_a_rollout_is_found_behind_later_ones(control: Control) -> None:  # noqa: F811
    log = RolloutLog(control)
    log.write(rollout(), expected=0)
    ended = rollout(phase="ended")
    log.write(ended, expected=1)
    log.write(rollout("1.2.0-r3"), expected=2)
    assert log.find("1.1.0-r1") == ended


def test_of_many_drivers_exactly_one_writes_each_entry(url: str) -> None:  # noqa: F811
    with Control(url):
        pass

    def write(_: int) -> int:
        won = 0
        with Control(url) as opened:
            log = RolloutLog(opened)
            for _ in range(10):
                newest = log.newest()
                try:
                    log.write(rollout(), expected=newest.number if newest else 0)
                    won += 1
                except ConflictError:
                    continue
        return won

    with ThreadPoolExecutor(4) as pool:
        wins = sum(pool.map(write, range(4)))
    with Control(url) as opened:
        newest = RolloutLog(opened).newest()
        assert newest is not None
        assert newest.number == wins


def test_a_state_of_a_newer_version_is_an_error_not_a_guess(control: Control) -> None:  # noqa: F811
    log = RolloutLog(control)
    log.write(rollout(), expected=0)
    with control.transaction() as connection:
        connection.execute(schema.rollouts.update().values(document={"novelty": 1}))
    with pytest.raises(MaskerError, match="entry 1"):
        log.newest()
