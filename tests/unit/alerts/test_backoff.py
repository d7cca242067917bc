from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from identity_masker.alerts.backoff import delay
from identity_masker.alerts.config import Retry

RETRY = Retry(first_seconds=5.0, factor=2.0, longest_seconds=300.0)


def test_waits_grow_to_the_longest() -> None:
    assert [delay(RETRY, n, None, chance=1.0) for n in (1, 2, 3, 7, 50, 10_000)] == [5, 10, 20, 300, 300, 300]


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 1e5))
def test_a_wait_is_between_half_and_whole_and_never_below_what_the_channel_asks(
    failures: int, chance: float, asked: float | None
) -> None:
    whole = delay(RETRY, failures, None, chance=1.0)
    found = delay(RETRY, failures, asked, chance)
    assert found >= (asked or 0.0)
    assert whole / 2 <= found <= max(whole, asked or 0.0)
