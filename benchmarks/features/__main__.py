"""`python -m benchmarks.features [--users N] [--lookups N]`: look-ups in SQLite and in a real Redis.

First as the feature store answers them, one after the other. Then as a gateway waits for them: 8 requests at a time on
an event loop, each for a user that was not asked for before, with the deadline of a gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from prometheus_client import CollectorRegistry

from identity_masker.features import offline
from identity_masker.features.definitions import USER_PROFILE
from identity_masker.features.online_users import OnlineUsers
from identity_masker.features.places import FeaturePlaces
from identity_masker.features.repository import FeatureRepository
from identity_masker.serving.characteristics import DEADLINE_SECONDS, Characteristics

AT_ONCE = 8
WARM_UP = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--lookups", type=int, default=5_000)
    options = parser.parse_args()
    print(f"{options.users:,} users, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}\n")
    print("| online store | what | p50 ms | p90 ms | p99 ms | without an answer in time |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, _redis(Path(folder)) as url:
        for name, online in (("SQLite", ""), ("Redis", url)):
            _measure(name, FeaturePlaces(Path(folder) / name, f"file://{folder}/{name}/store", online), options)


def _measure(name: str, places: FeaturePlaces, options: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    repository = FeatureRepository(places)
    repository.apply(now)
    offline.append(USER_PROFILE, _users(options.users, now), places, now)
    repository.materialize(now + timedelta(seconds=1))
    users = OnlineUsers(places)
    users.opened.wait()
    asked = np.random.default_rng(0).permutation(options.users)[: options.lookups + WARM_UP]
    units = [f"unit-{number}" for number in asked]
    taken = [_timed(users, unit) for unit in units][WARM_UP:]
    _print(name, "look-up", np.array(taken), 0)
    waited, late = asyncio.run(_as_a_gateway(users, units[WARM_UP:]))
    _print(name, f"request, {AT_ONCE} at a time", waited, late)


def _timed(users: OnlineUsers, unit: str) -> float:
    started = time.perf_counter()
    found = users(unit)
    taken = time.perf_counter() - started
    assert found["plan"] == "pro"
    return taken


async def _as_a_gateway(users: OnlineUsers, units: list[str]) -> tuple[np.ndarray, int]:
    known = Characteristics(users, CollectorRegistry(), deadline=DEADLINE_SECONDS)
    waited: list[float] = []
    late = 0

    async def client(mine: list[str]) -> None:
        nonlocal late
        for unit in mine:
            started = time.perf_counter()
            found = await known.of(unit)
            waited.append(time.perf_counter() - started)
            late += not found

    await asyncio.gather(*(client(units[at::AT_ONCE]) for at in range(AT_ONCE)))
    known.close()
    return np.array(waited), late


def _users(count: int, now: datetime) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "user": [f"unit-{number}" for number in range(count)],
            "device": rng.choice(["phone", "tablet", "desktop"], count),
            "region": rng.choice(["eu", "us", "asia"], count),
            "plan": "pro",
            "masking_strength": rng.uniform(0, 1, count),
            "event_timestamp": pd.Timestamp(now - timedelta(hours=1)),
        }
    )


def _print(store: str, what: str, seconds: np.ndarray, late: int) -> None:
    p50, p90, p99 = np.quantile(seconds * 1000, [0.5, 0.9, 0.99])
    print(f"| {store} | {what} | {p50:.2f} | {p90:.2f} | {p99:.2f} | {late} of {len(seconds)} |", flush=True)


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


if __name__ == "__main__":
    main()
