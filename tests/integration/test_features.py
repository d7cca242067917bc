"""The feature store for real: Feast over SQLite and Redis, joins at past times, look-ups while values come in."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.integration.fleet_processes import free_ports

from identity_masker.errors import BadInputError, NotFoundError, TemporaryError
from identity_masker.features import offline
from identity_masker.features.definitions import SERVING, SOURCE_STATISTICS, TRAINING, USER_PROFILE
from identity_masker.features.online_users import OnlineUsers
from identity_masker.features.places import FeaturePlaces
from identity_masker.features.repository import FeatureRepository

pytestmark = [
    # What Feast and dask do on import and in use.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

NOW = datetime.now(UTC).replace(microsecond=0)


def ago(**how_long: float) -> pd.Timestamp:
    return pd.Timestamp(NOW - timedelta(**how_long))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("redis"), free_ports(1)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


@pytest.fixture(params=["sqlite", "redis"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> FeaturePlaces:
    url = request.getfixturevalue("redis") if request.param == "redis" else ""
    return FeaturePlaces(tmp_path / "home", f"file://{tmp_path}/store", url)


@pytest.fixture
def places(tmp_path: Path) -> FeaturePlaces:
    return FeaturePlaces(tmp_path / "home", f"file://{tmp_path}/store")


def users(*rows: tuple[str, str, float, pd.Timestamp]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user", "plan", "masking_strength", "event_timestamp"])
    return frame.assign(device="phone", region="eu")


def add_users(places: FeaturePlaces, known: pd.Timestamp, *rows: tuple[str, str, float, pd.Timestamp]) -> None:
    offline.append(USER_PROFILE, users(*rows), places, known.to_pydatetime())


def sources(name: str, brightness: float, end: pd.Timestamp) -> pd.DataFrame:
    row: dict[str, Any] = dict.fromkeys(SOURCE_STATISTICS.features, brightness)
    row |= {"pictures_1h": 1, "pictures_24h": 2, "source": name, "event_timestamp": end}
    return pd.DataFrame([row])


def asked(*rows: tuple[str, str, pd.Timestamp]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user", "source", "event_timestamp"]).assign(image="")


def test_training_never_sees_a_value_from_the_future(places: FeaturePlaces) -> None:
    repository = FeatureRepository(places)
    repository.apply(NOW)
    # The plan became `pro` three hours ago, and was known at once; `free` came an hour ago, known half an hour later.
    add_users(places, ago(hours=9), ("a", "trial", 0.1, ago(hours=9)))
    add_users(places, ago(hours=3), ("a", "pro", 0.5, ago(hours=3)))
    add_users(places, ago(minutes=30), ("a", "free", 0.9, ago(hours=1)))
    for hour in range(12, 0, -1):
        end = ago(hours=hour)
        offline.append(SOURCE_STATISTICS, sources("door", hour / 100, end), places, end.to_pydatetime())
    minutes = [*range(0, 13 * 60, 17), 30, 60, 180, 540, 540]  # one row twice
    moments = [ago(minutes=minute) for minute in minutes]
    rows = asked(*(("a", "door", moment) for moment in moments))
    joined = repository.historical(rows, TRAINING)
    assert joined["event_timestamp"].tolist() == moments  # the order is kept

    def plan(minute: int) -> str | None:
        if minute <= 30:
            return "free"
        return "pro" if minute <= 180 else "trial" if minute <= 540 else None

    def brightness(minute: int) -> float | None:
        ended = [hour for hour in range(1, 13) if hour * 60 >= minute]
        return ended[0] / 100 if ended else None

    for minute, found in zip(minutes, joined.itertuples(), strict=True):
        assert (None if pd.isna(found.plan) else found.plan) == plan(minute), minute
        expected = brightness(minute)
        assert pd.isna(found.brightness_1h) if expected is None else found.brightness_1h == expected, minute


def test_a_value_that_is_too_old_is_missing(places: FeaturePlaces) -> None:
    repository = FeatureRepository(places)
    repository.apply(NOW)
    end = ago(hours=60)
    offline.append(SOURCE_STATISTICS, sources("door", 0.5, end), places, end.to_pydatetime())
    joined = repository.historical(asked(("a", "door", ago(hours=59)), ("a", "door", ago(hours=11))), TRAINING)
    assert joined["brightness_1h"].notna().tolist() == [True, False]


def test_rows_that_cannot_be_joined_are_refused(places: FeaturePlaces) -> None:
    repository = FeatureRepository(places)
    repository.apply(NOW)
    good = asked(("a", "door", ago(hours=1)))
    for bad, told in [
        (good.drop(columns="source"), "lack columns"),
        (good.assign(user=7), "keys are not text; got user of integer"),
        (good.assign(plan="x"), "names of features"),
        (good.assign(event_timestamp=datetime(2026, 1, 1)), "no time zone"),
    ]:
        with pytest.raises(BadInputError, match=told):
            repository.historical(bad, TRAINING)
    with pytest.raises(NotFoundError, match="masker_training, masker_serving"):
        repository.historical(good, "serving")


def test_what_is_materialised_is_looked_up(online: FeaturePlaces) -> None:
    repository = FeatureRepository(online)
    with pytest.raises(NotFoundError, match="masker features apply"):
        repository.online(SERVING, [{"user": "a", "source": "door"}])
    repository.apply(NOW)
    add_users(online, ago(hours=2), ("a", "pro", 0.5, ago(hours=2)), ("b", "free", 0.0, ago(days=300)))
    repository.materialize(ago(hours=1).to_pydatetime())
    offline.append(SOURCE_STATISTICS, sources("door", 0.25, ago(minutes=50)), online, ago(minutes=45).to_pydatetime())
    # A late file: what it says holds since before the last materialisation.
    add_users(online, ago(minutes=30), ("c", "late", 1.0, ago(hours=5)), ("a", "older", 0.1, ago(hours=6)))
    repository.materialize(NOW)
    rows = [{"user": user, "source": "door"} for user in ("a", "b", "c", "nobody")]
    found = repository.online(SERVING, rows)
    assert [row["plan"] for row in found] == ["pro", "free", "late", None]
    assert [row["masking_strength"] for row in found] == [0.5, 0.0, 1.0, None]
    assert {row["brightness_1h"] for row in found} == {0.25}


def test_users_can_be_looked_up_while_others_come_online(online: FeaturePlaces) -> None:
    repository = FeatureRepository(online)
    repository.apply(NOW)
    add_users(online, ago(hours=2), ("a", "pro", 0.5, ago(hours=2)))
    repository.materialize(ago(hours=1).to_pydatetime())
    users_now = OnlineUsers(online)
    assert users_now.opened.wait(60)
    assert users_now("a") == {"device": "phone", "region": "eu", "plan": "pro", "masking_strength": 0.5}
    assert users_now("nobody") == {}
    many = [(f"user-{n}", "free", 0.1, ago(minutes=20)) for n in range(2000)]
    add_users(online, ago(minutes=10), *many)
    done = threading.Event()
    worker = threading.Thread(target=lambda: (FeatureRepository(online).materialize(NOW), done.set()))
    worker.start()
    looked_up = 0
    while not done.is_set():
        assert users_now("a")["plan"] == "pro"
        looked_up += 1
    worker.join()
    assert looked_up > 10
    assert users_now("user-1999")["plan"] == "free"


def test_before_features_are_declared_nobody_is_known_and_feast_is_not_imported(places: FeaturePlaces) -> None:
    users_now = OnlineUsers(places, look_again=0.05)
    assert users_now("a") == {}
    FeatureRepository(places).apply(NOW)
    assert users_now.opened.wait(60)


def test_an_online_store_that_is_down_is_a_temporary_error(places: FeaturePlaces) -> None:
    away = FeaturePlaces(places.home, places.store, f"redis://127.0.0.1:{free_ports(1)}/0")
    repository = FeatureRepository(away)
    repository.apply(NOW)
    with pytest.raises(TemporaryError, match="MASKER_ONLINE_STORE"):
        repository.online_view("user_profile", ["a"])


COUNTING = ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR")


def test_feast_leaves_the_metrics_of_this_process_alone(places: FeaturePlaces) -> None:
    before = dict(os.environ)
    FeatureRepository(places).apply(NOW)
    assert {name: os.environ.get(name) for name in COUNTING} == {name: before.get(name) for name in COUNTING}
