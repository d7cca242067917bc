"""Simulated rollouts: error levels of both arms over time, and the requests drawn from them.

A rollout is 10 intervals with the canary's share rising from 5 % to 50 %; the judge looks ten times an interval.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARES = np.arange(5, 51, 5) / 100.0
TICKS = 10
# Flagger repeats an interval after a failed check, so that its rollouts may take longer than ten.
LONGEST = 24


class World(NamedTuple):
    """Error level of each arm in each interval, shape (runs, LONGEST); `burst`: correlation of successive errors."""

    champion: Floats
    canary: Floats
    burst: float = 0.0


class Counts(NamedTuple):
    """Errors and requests of each arm and look, each of shape (runs, looks)."""

    canary: Floats
    champion: Floats
    canary_requests: Floats
    champion_requests: Floats

    def every(self, looks: int) -> Counts:
        """The same with `looks` looks put together."""
        return Counts(*(part.reshape(part.shape[0], -1, looks).sum(axis=-1) for part in self))


def world(
    rng: np.random.Generator,
    runs: int,
    champion: float,
    canary: float,
    *,
    incident: tuple[float, int] | None = None,
    shared: float = 0.0,
    wander: float = 0.0,
    correlation: float = 0.8,
    burst: float = 0.0,
) -> World:
    """Levels around `champion` and `canary`.

    `incident`: level of both arms in so many of the first ten intervals. `shared`, `wander`: relative deviation of an
    AR(1) factor on both arms alike, and on each arm by itself.
    """
    levels = [np.full((runs, LONGEST), level) for level in (champion, canary)]
    if incident is not None:
        struck = np.argsort(rng.random((runs, SHARES.size)), axis=1)[:, : incident[1]]
        for level in levels:
            np.put_along_axis(level, struck, incident[0], axis=1)
    common = _factor(rng, runs, shared, correlation)
    own = [_factor(rng, runs, wander, correlation) for _ in levels]
    return World(
        *(np.clip(level * common * factor, 0.0, 0.95) for level, factor in zip(levels, own, strict=True)), burst
    )


def autoregressive(rng: np.random.Generator, runs: int, length: int, correlation: float) -> Floats:
    """Stationary AR(1) with unit variance, shape (runs, length)."""
    steps = rng.normal(size=(runs, length))
    for i in range(1, length):
        steps[:, i] = correlation * steps[:, i - 1] + np.sqrt(1.0 - correlation**2) * steps[:, i]
    return steps


def draw(rng: np.random.Generator, levels: Floats, requests: NDArray[np.int64], burst: float) -> NDArray[np.int64]:
    """Failed requests of `requests` at `levels`; with `burst`, in geometric bursts that keep the mean."""
    if burst == 0.0:
        return rng.binomial(requests, levels)
    starts = rng.poisson(requests * levels * (1.0 - burst))
    more = np.where(starts > 0, rng.negative_binomial(np.maximum(starts, 1), 1.0 - burst), 0)
    return np.minimum(starts + more, requests)


def rollout(rng: np.random.Generator, levels: World, requests: int) -> Counts:
    """All looks of rollouts with `requests` an interval over both arms, routed at random."""
    runs = levels.canary.shape[0]
    shares = np.repeat(SHARES, TICKS)
    canary_requests = rng.binomial(requests // TICKS, np.broadcast_to(shares, (runs, shares.size)))
    champion_requests = requests // TICKS - canary_requests
    by_look = [np.repeat(level[:, : SHARES.size], TICKS, axis=1) for level in (levels.canary, levels.champion)]
    canary = draw(rng, by_look[0], canary_requests, levels.burst)
    champion = draw(rng, by_look[1], champion_requests, levels.burst)
    return Counts(*(part.astype(np.float64) for part in (canary, champion, canary_requests, champion_requests)))


def _factor(rng: np.random.Generator, runs: int, deviation: float, correlation: float) -> Floats:
    if deviation == 0.0:
        return np.ones((runs, LONGEST))
    return np.exp(deviation * autoregressive(rng, runs, LONGEST, correlation) - 0.5 * deviation**2)
