from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.release.world import policy

from identity_masker.release.replicas import Counts, goal, next_step
from identity_masker.release.strategy import Rolling

ROLLING = st.builds(
    lambda surge, unavailable: Rolling(max_surge=surge, max_unavailable=unavailable),
    st.integers(0, 3),
    st.integers(1, 3),
) | st.builds(lambda surge: Rolling(max_surge=surge, max_unavailable=0), st.integers(1, 3))


@given(ROLLING, st.integers(1, 12), st.sampled_from([(1.0,), (0.25, 0.25, 0.5), (0.1, 0.2, 0.7)]))
def test_replacing_keeps_surge_and_availability_and_arrives(
    rolling: Rolling, replicas: int, batches: tuple[float, ...]
) -> None:
    assume(replicas > 1 or rolling.max_surge > 0)
    how = policy(strategy="rolling", rolling=rolling.model_copy(update={"batches": batches}).model_dump())
    wanted = Counts(0, replicas)
    part = 0.0
    for batch in batches:
        part = min(part + batch, 1.0)
        target = goal(how, part, replicas)
        assert target.champion >= 1
        for _ in range(4 * replicas + 4):
            if wanted == target:
                break
            following = next_step(rolling, replicas, wanted, wanted, target)
            assert following is not None
            assert sum(following) <= replicas + rolling.max_surge
            assert sum(following) >= replicas - rolling.max_unavailable
            wanted = following
        assert wanted == target


@given(ROLLING, st.integers(2, 12))
def test_nothing_ready_is_let_go_while_the_new_one_starts(rolling: Rolling, replicas: int) -> None:
    wanted, ready = Counts(rolling.max_surge, replicas), Counts(0, replicas - rolling.max_unavailable)
    assert next_step(rolling, replicas, wanted, ready, Counts(replicas, 1)) is None


def test_other_strategies_keep_a_full_copy_of_both() -> None:
    assert goal(policy(), 1.0, 3) == Counts(3, 3)
