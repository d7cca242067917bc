from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from tests.unit.drift.tables import QUICK, evidence, normal

from identity_masker.drift.nights import RANK_PER_SD, Night, Rank, remember, slow_drift, slow_history, with_night
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.verdict import judge
from identity_masker.errors import BadInputError

START = date(2026, 1, 1)


def _nights(
    rng: np.random.Generator, nights: int, *, shift: float = 0.0, columns: int = 3, rows: int = 100, size: int = 5_000
) -> tuple[Night, ...]:
    """Nights against one reference, by the asymptotic distribution of rank means; `shift` in deviations, of c0."""
    of_reference = rng.normal(size=columns) / np.sqrt(12 * size)
    made = []
    for index in range(nights):
        means = 0.5 + rng.normal(size=columns) / np.sqrt(12 * rows) - of_reference
        means[0] += shift * RANK_PER_SD
        ranks = {
            f"c{column}": Rank(mean=float(mean), variance=1 / 12, count=rows, reference_count=size)
            for column, mean in enumerate(means)
        }
        night = START + timedelta(days=index)
        made.append(Night(night=night, reference="r", verdict="no_drift", ranks=ranks))
    return tuple(made)


def test_drift_too_small_for_a_night_shows_over_weeks() -> None:
    nights = _nights(np.random.default_rng(0), 60, shift=0.15)
    history = slow_history(nights, QUICK)
    first = next(index for index, state in enumerate(history) if state.drifted)
    assert 5 < first < 45
    assert history[first].drifted == ("c0",)
    assert slow_drift(nights[: first + 1], QUICK) == history[first]
    # After an alarm the count starts anew.
    assert history[first + 1].nights == 1


def test_false_alarms_of_the_slow_test_stay_within_its_share() -> None:
    # Floors at zero: significance alone. One reference a year, 40 years of 60 nights with a share of 0.2.
    policy = DriftPolicy.model_validate({"false_alarms": {"nights": 60}, "floors": {"numeric": 0.0}})
    rng, years, alarms = np.random.default_rng(1), 40, 0
    for _ in range(years):
        nights = _nights(rng, 60, size=500)
        alarms += sum(bool(state.drifted) for state in slow_history(nights, policy))
    assert alarms <= 0.2 * years + 2 * np.sqrt(0.2 * years)


def test_a_shift_below_the_floor_is_no_slow_drift() -> None:
    nights = _nights(np.random.default_rng(2), 300, shift=0.02, rows=5_000, size=100_000)
    found = slow_drift(nights, QUICK)
    column = next(each for each in found.columns if each.name == "c0")
    assert column.e_value > 1e3
    assert not found.drifted
    assert column.shift == pytest.approx(0.02, abs=0.005)


def test_another_reference_starts_anew() -> None:
    nights = _nights(np.random.default_rng(3), 20)
    moved = nights[-1].model_copy(update={"reference": "other"})
    assert slow_drift((*nights[:-1], moved), QUICK).nights == 1
    assert slow_drift((), QUICK).nights == 0


def test_a_night_that_is_run_again_replaces_itself() -> None:
    nights = _nights(np.random.default_rng(4), 5)
    again = nights[2].model_copy(update={"verdict": "drift"})
    replaced = with_night(nights, again)
    assert [night.verdict for night in replaced] == ["no_drift"] * 2 + ["drift"] + ["no_drift"] * 2
    assert with_night(reversed(nights), nights[0]) == nights


def test_nights_out_of_order_are_refused() -> None:
    nights = _nights(np.random.default_rng(5), 3)
    with pytest.raises(BadInputError, match="order of date"):
        slow_drift(nights[::-1], QUICK)


def test_a_night_is_remembered_from_its_evidence() -> None:
    rng = np.random.default_rng(6)
    before = normal(rng, 1_000) | {"k": ["a", "b"] * 500, "still": np.ones(1_000)}
    made = evidence(before, normal(rng, 500, c0=1.0) | {"k": ["a", "b"] * 250, "still": np.ones(500)})
    night = remember(START, "r", made, judge(made, QUICK))
    assert (night.verdict, night.drifted) == ("drift", ("c0",))
    assert set(night.ranks) == {"c0", "c1", "c2"}
    # P(N(0,1) < N(1,1)) = Φ(1/√2)
    assert night.ranks["c0"].mean == pytest.approx(0.7602, abs=0.03)
    assert Night.model_validate_json(night.model_dump_json()) == night
