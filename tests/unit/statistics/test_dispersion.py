from __future__ import annotations

import numpy as np
import pytest

from identity_masker.statistics.dispersion import Dispersion


def factor(counts: np.ndarray, sizes: np.ndarray) -> float:
    dispersion = Dispersion(1)
    for count, size in zip(counts, sizes, strict=True):
        dispersion.update([(np.array([count]), np.array([size]))])
    return float(dispersion.factor[0])


def test_nothing_seen_presumes_a_little_and_independent_events_little_more() -> None:
    assert Dispersion(3).factor.tolist() == [1.25] * 3
    rng = np.random.default_rng(1)
    sizes = rng.integers(500, 1500, 400).astype(float)
    assert factor(rng.poisson(0.01 * sizes).astype(float), sizes) < 1.1


def test_bursts_of_five_show_as_five() -> None:
    rng = np.random.default_rng(2)
    sizes = np.full(1000, 1000.0)
    assert factor(5.0 * rng.poisson(0.002 * sizes), sizes) == pytest.approx(5.0, abs=0.6)


def test_a_level_that_moves_slowly_is_no_burst() -> None:
    rng = np.random.default_rng(3)
    sizes = np.full(600, 1000.0)
    level = 0.02 * np.exp(np.sin(np.linspace(0.0, 6.0, 600)))
    assert factor(rng.poisson(level * sizes).astype(float), sizes) < 1.15


def test_an_incident_adds_no_more_than_the_cap() -> None:
    calm = np.full(40, 10.0)
    incident = calm.copy()
    incident[20] = 10_000.0
    assert factor(incident, np.full(40, 1000.0)) < 1.0 + 2 * 16.0 / 39.0 + 0.1
