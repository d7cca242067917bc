from __future__ import annotations

import numpy as np
import pytest

from identity_masker.statistics.rare_events import RareEvents


def test_at_the_level_it_is_wrong_at_most_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(1000):
        rare, largest = RareEvents(0.01), 0.0
        for _ in range(60):
            rare.update(float(rng.binomial(200, 0.01)), 200.0)
            largest = max(largest, rare.log_rare)
        wrong += largest >= np.log(20.0)
    assert wrong / 1000 <= 0.05


@pytest.mark.parametrize(("share", "looks"), [(0.0, 3), (0.001, 10)])
def test_rare_events_are_found_rare(share: float, looks: int) -> None:
    rng = np.random.default_rng(1)
    rare = RareEvents(0.01)
    for _ in range(looks):
        rare.update(float(rng.binomial(200, share)), 200.0)
    assert rare.log_rare >= np.log(20.0)


def test_nothing_seen_is_no_evidence() -> None:
    rare = RareEvents(0.01)
    rare.update(0.0, 0.0)
    assert rare.log_rare == pytest.approx(0.0)
