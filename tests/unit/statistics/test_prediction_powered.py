from __future__ import annotations

import numpy as np
import pytest

from identity_masker.errors import BadInputError
from identity_masker.statistics.prediction_powered import calibrated_mean, prediction_powered_mean


def _window(rng: np.random.Generator, n: int, quality: float) -> tuple[np.ndarray, np.ndarray]:
    chance = rng.beta(2, 5, size=n)
    outcome = (rng.random(n) < chance).astype(float)
    return outcome, quality * chance + (1 - quality) * rng.random(n) + 0.2


@pytest.mark.parametrize("quality", [1.0, 0.0])
def test_interval_covers_the_mean_however_wrong_the_predictions_are(quality: float) -> None:
    rng = np.random.default_rng(0)
    covered, narrower = [], []
    for _ in range(300):
        outcome, predicted = _window(rng, 60, quality)
        rest = _window(rng, 3_000, quality)[1]
        found = prediction_powered_mean(outcome, predicted, rest).mean
        covered.append(found.low <= 2 / 7 <= found.high)
        narrower.append((found.high - found.low) / (2 * 2.0 * outcome.std(ddof=1) / np.sqrt(60)))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)
    assert np.mean(narrower) < 1.03


def test_good_predictions_are_worth_many_labels() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=5_000)
    predicted = truth + 0.2 * rng.normal(size=5_000)
    found = prediction_powered_mean(truth[:50], predicted[:50], predicted[50:])
    assert found.weight > 0.7
    assert found.mean.high - found.mean.low < 0.5 * 4 * truth[:50].std() / np.sqrt(50)


def test_calibrated_mean_follows_a_change_of_what_comes_in() -> None:
    rng = np.random.default_rng(2)
    score = rng.random(20_000)
    outcome = (rng.random(20_000) < score**2).astype(float)
    harder = rng.beta(3, 1, size=2_000)
    covered = []
    for _ in range(50):
        harder = rng.beta(3, 1, size=2_000)
        found = calibrated_mean(score, outcome, harder)
        covered.append(found.low <= 0.6 <= found.high)
    assert np.mean(covered) >= 0.86
    assert found.value == pytest.approx(0.6, abs=0.03)


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInputError, match="length"):
        prediction_powered_mean([0, 1, 1], [0.1, 0.2], [0.1, 0.2])
    with pytest.raises(BadInputError, match="length"):
        calibrated_mean([0.1, 0.2], [0, 1, 1], [0.1])


def test_constant_predictions_are_not_trusted() -> None:
    found = prediction_powered_mean([0, 1, 1, 0], [0.5] * 4, [0.5] * 10)
    assert (found.weight, found.mean.value) == (0.0, 0.5)
