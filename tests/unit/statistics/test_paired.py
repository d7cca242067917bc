from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.statistics import paired

THRESHOLD = math.log(20.0)


def leaks(rng: np.random.Generator, pairs: int, candidate: float) -> tuple[np.ndarray, np.ndarray]:
    """Champion leaks 1 %, 0.8 % of the pictures leak in both versions."""
    drawn = rng.random(pairs)
    second = (drawn < 0.008) | ((drawn >= 0.010) & (drawn < 0.010 + candidate - 0.008))
    return (drawn < 0.010).astype(float), second.astype(float)


def test_pairs_that_agree_change_nothing() -> None:
    values = np.array([1.0, 0.0, 0.0, 1.0, 0.3])
    assert paired.log_worse(values, values) == pytest.approx(np.zeros(5), abs=1e-12)


def test_one_discordant_pair_has_the_mean_of_the_bets() -> None:
    path = paired.log_worse(np.array([0.0]), np.array([1.0]))
    assert path[0] == pytest.approx(math.log(1.0 + float(paired.BETS @ paired.BET_WEIGHTS)))


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_fair_pair_does_not_grow_the_capital_on_average(a: float, b: float) -> None:
    """Champion and candidate exchange their values with chance one half."""
    outcomes = [paired.log_worse(np.array([x]), np.array([y]))[0] for x, y in ((a, b), (b, a))]
    assert sum(math.exp(outcome) for outcome in outcomes) / 2.0 <= 1.0 + 1e-12


def test_a_leak_from_one_to_two_percent_is_found_in_a_thousand_pairs() -> None:
    rng = np.random.default_rng(1)
    times = []
    for _ in range(200):
        hits = np.flatnonzero(paired.log_worse(*leaks(rng, 8000, 0.020)) >= THRESHOLD)
        times.append(hits[0] + 1 if hits.size else math.inf)
    assert float(np.median(times)) <= 1000.0


def test_an_equal_candidate_is_rarely_stopped_and_mostly_passed() -> None:
    rng = np.random.default_rng(2)
    stopped = passed = 0
    for _ in range(200):
        champion, candidate = leaks(rng, 4000, 0.010)
        stopped += bool(np.any(paired.log_worse(champion, candidate) >= THRESHOLD))
        passed += bool(paired.log_not_worse(champion, candidate, 2.0)[-1] >= THRESHOLD)
    assert stopped <= 10
    assert passed >= 180


def test_at_the_margin_few_pass() -> None:
    rng = np.random.default_rng(3)
    passed = sum(bool(np.any(paired.log_not_worse(*leaks(rng, 4000, 0.020), 2.0) >= THRESHOLD)) for _ in range(200))
    assert passed <= 10


def test_the_interval_covers_the_mean_difference_and_tightens() -> None:
    rng = np.random.default_rng(4)
    widths = []
    for pairs in (500, 5000, 50_000):
        mean, low, high = paired.difference_interval(*leaks(rng, pairs, 0.030))
        assert low <= 0.020 <= high
        assert low <= mean <= high
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]


@pytest.mark.parametrize(
    ("champion", "candidate", "words"),
    [
        ([0.1, 0.2], [0.1], "not complete"),
        ([0.1, 1.2], [0.1, 0.2], "out of range"),
        ([], [], "too few"),
        ([math.nan], [0.1], "not finite"),
    ],
)
def test_impossible_pairs_are_refused(champion: list[float], candidate: list[float], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        paired.log_worse(np.array(champion), np.array(candidate))


@pytest.mark.parametrize("margin", [0.5, math.nan, math.inf])
def test_margins_are_ratios_of_at_least_one(margin: float) -> None:
    with pytest.raises(BadInputError, match="margin"):
        paired.log_not_worse(np.array([0.1]), np.array([0.1]), margin)
