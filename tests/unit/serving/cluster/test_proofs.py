from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from identity_masker.serving.cluster.proofs import Proofs
from identity_masker.serving.control import Endpoint, EndpointState


def seen(state: EndpointState = "ready", pid: int = 1) -> Endpoint:
    return Endpoint(owner="me", slot="pod", version="1", url="http://pod", pid=pid, state=state)


def play(scene: Callable[[Proofs, list[Endpoint]], Awaitable[None]], *answers: str, again_seconds: float = 0.0) -> None:
    """Run `scene` with proofs whose tests give `answers` in turn, and the list of what was tested."""
    tested: list[Endpoint] = []

    async def test(endpoint: Endpoint) -> str:
        tested.append(endpoint)
        return answers[len(tested) - 1]

    async def main() -> None:
        proofs = Proofs(test, again_seconds)
        await scene(proofs, tested)
        await proofs.stop()

    asyncio.run(main())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_ready_server_is_ready_once_it_has_passed_and_is_tested_once() -> None:
    async def scene(proofs: Proofs, tested: list[Endpoint]) -> None:
        assert proofs.judged(seen()).state == "starting"
        assert proofs.judged(seen()).state == "starting"
        await settle()
        assert [proofs.judged(seen()).state for _ in range(3)] == ["ready"] * 3
        assert len(tested) == 1

    play(scene, "")


def test_one_that_fails_says_why_and_is_tested_again() -> None:
    async def scene(proofs: Proofs, tested: list[Endpoint]) -> None:
        proofs.judged(seen())
        await settle()
        failed = proofs.judged(seen())
        assert (failed.state, failed.detail) == ("failed", "it is not masked")
        await settle()
        assert proofs.judged(seen()).state == "ready"
        assert len(tested) == 2

    play(scene, "it is not masked", "")


def test_one_that_fails_is_left_in_peace_for_a_while() -> None:
    async def scene(proofs: Proofs, tested: list[Endpoint]) -> None:
        for _ in range(5):
            proofs.judged(seen())
            await settle()
        assert len(tested) == 1

    play(scene, "it is not masked", again_seconds=3600.0)


def test_a_new_container_in_the_same_pod_is_tested_anew() -> None:
    async def scene(proofs: Proofs, tested: list[Endpoint]) -> None:
        proofs.judged(seen(pid=1))
        await settle()
        assert proofs.judged(seen(pid=2)).state == "starting"
        await settle()
        assert [endpoint.pid for endpoint in tested] == [1, 2]

    play(scene, "", "")


def test_only_a_server_that_was_proven_drains() -> None:
    async def scene(proofs: Proofs, tested: list[Endpoint]) -> None:
        assert proofs.judged(seen("draining")).state == "failed"
        proofs.adopt(seen())
        assert proofs.judged(seen("draining")).state == "draining"
        assert tested == []

    play(scene)


def test_a_server_that_is_gone_is_forgotten() -> None:
    async def scene(proofs: Proofs, tested: list[Endpoint]) -> None:
        proofs.adopt(seen())
        proofs.keep([seen(pid=2)])
        assert not proofs.proven(seen())

    play(scene)


def test_what_is_not_ready_stays_as_it_is_and_is_not_tested() -> None:
    async def scene(proofs: Proofs, tested: list[Endpoint]) -> None:
        states: tuple[EndpointState, ...] = ("starting", "failed", "refused")
        assert [proofs.judged(seen(state)).state for state in states] == list(states)
        assert tested == []

    play(scene)
