"""The feature store as a whole: declare, materialise, join at a past time, look up now."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError, MaskerError, NotFoundError, TemporaryError
from identity_masker.features import feature_statistics, offline, versions
from identity_masker.features.definitions import CREATED, TABLES, TIME, FeatureTable, service, table
from identity_masker.features.places import FeaturePlaces
from identity_masker.telemetry.logs import logger

if TYPE_CHECKING:
    import pandas as pd
    from feast import FeatureStore

_ROW = "__row"
log = logger(__name__)


class Applied(BaseModel):
    """The version of each view after `apply`, and which of them were new."""

    model_config = ConfigDict(frozen=True)

    versions: dict[str, str]
    changed: tuple[str, ...]


class Materialized(BaseModel):
    """One view whose values are in the online store: those that hold since a time in (start, end]."""

    model_config = ConfigDict(frozen=True)

    view: str
    start: datetime
    end: datetime


class FeatureRepository:
    """The features of these places. Feast is imported with the first use, which takes seconds."""

    def __init__(self, places: FeaturePlaces) -> None:
        self.places = places

    def apply(self, now: datetime) -> Applied:
        """Declare the views of `definitions`; nothing happens when they are declared already."""
        changed = versions.record(self.places, now)
        for each in changed:
            offline.make_empty(TABLES[each.view], self.places)
        return Applied(
            versions={name: each.version for name, each in versions.current(self.places).items()},
            changed=tuple(each.view for each in changed),
        )

    def materialize(self, now: datetime, since: datetime | None = None) -> list[Materialized]:
        """Bring the newest values of all online views to the online store.

        Of each view it starts where the last one ended, or earlier when rows that came since hold since earlier: a
        profile that was loaded late is not passed over. `since` starts there, for an online store that was emptied.
        """
        done = []
        ends = self._ends()
        for each in TABLES.values():
            if not each.online:
                continue
            start = since or self._start(each, ends.get(each.name), now)
            offline.bring(each, self.places)
            with _feast_errors(f"bringing {each.name} online"), _quietly():
                self._feast.materialize(start_date=start, end_date=now, feature_views=[each.name])
            ends[each.name] = now
            artifacts.write_json(self.places.ends, {name: end.isoformat() for name, end in ends.items()})
            done.append(Materialized(view=each.name, start=start, end=now))
            log.info("materialized", view=each.name, start=start.isoformat(), end=now.isoformat())
        return done

    def historical(self, entities: pd.DataFrame, service_name: str) -> pd.DataFrame:
        """`entities` with the features of a service as they were known at each row's `event_timestamp`.

        A row needs the keys of the service's views. No value that holds since later, and none that was added later, is
        in the result: training sees what serving would have seen. Missing values are NaN or None. The order of the rows
        is kept. Raises `BadInputError` for missing keys or times without a zone.
        """
        _check_entities(entities, service_name)
        tables = service(service_name)
        for each in tables:
            offline.bring(each, self.places)
        numbered = entities.assign(**{_ROW: range(len(entities))})
        with _feast_errors(f"joining {service_name}"), _quietly():
            joined = self._feast.get_historical_features(
                entity_df=numbered,
                features=[f"{each.name}:{name}" for each in tables for name in each.features],
                filter_by_created_timestamp=True,
            ).to_df()
        features = [name for each in tables for name in each.features]
        found: pd.DataFrame = joined.sort_values(_ROW).reset_index(drop=True)[[*entities.columns, *features]]
        return found

    def online(self, service_name: str, rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """The newest materialised features of a service, one dict a row; None where there is no value.

        A row needs the keys of the service's views. Raises `NotFoundError` before the first `apply`,
        `TemporaryError` when the online store does not answer.
        """
        tables = service(service_name)
        return self._look_up([f"{each.name}:{name}" for each in tables for name in each.features], rows)

    def online_view(self, view: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """The newest materialised features of one view, one dict a key. Raises as `online` does."""
        asked = table(view)
        return self._look_up([f"{view}:{name}" for name in asked.features], [{asked.entity: key} for key in keys])

    def _look_up(self, features: list[str], rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        store = self._feast
        with _feast_errors("looking features up"):
            found = store.get_online_features(features=features, entity_rows=[dict(row) for row in rows]).to_dict()
        return [{name: values[at] for name, values in found.items()} for at in range(len(rows))]

    @cached_property
    def _feast(self) -> FeatureStore:
        current = versions.current(self.places)
        if not current:
            raise NotFoundError(
                "no features have been declared", got=self.places.uri(), fix="run `masker features apply`"
            )
        numbers = {name: each.version for name, each in current.items()}
        self.places.sqlite.parent.mkdir(parents=True, exist_ok=True)
        with _feast_errors("opening the feature store"), _locked(self.places.sqlite.with_name(".lock")):
            if not self.places.online:
                _make_shared(self.places.sqlite)
            from identity_masker.features.feast_objects import objects, open_store

            store = open_store(self.places)
            applied = self.places.registry.with_suffix(".json")
            told = {"versions": numbers, "folders": [str(self.places.at_hand(name)) for name in numbers]}
            if not applied.is_file() or json.loads(applied.read_text()) != told:
                store.apply(objects(self.places, numbers))
                artifacts.write_json(str(applied), told)
            return store

    def _ends(self) -> dict[str, datetime]:
        try:
            ends = artifacts.read_json(self.places.ends)
        except NotFoundError:
            return {}
        return {name: datetime.fromisoformat(end) for name, end in ends.items()}

    def _start(self, view: FeatureTable, last: datetime | None, now: datetime) -> datetime:
        """Since when rows of `view` may hold that are not online."""
        added = feature_statistics.history(view.name, self.places)
        waiting = [each.first for each in added if each.first and (last is None or each.created > last)]
        start = min([*waiting, last or now])
        # Feast's start is exclusive.
        return (max(start, now - view.ttl) if view.ttl else start) - timedelta(microseconds=1)


def _check_entities(entities: pd.DataFrame, service_name: str) -> None:
    import pandas as pd

    wanted = [TIME, *dict.fromkeys(each.entity for each in service(service_name))]
    missing = [name for name in wanted if name not in entities.columns]
    if missing:
        raise BadInputError(
            "the rows to join features to lack columns",
            got=", ".join(map(str, entities.columns)),
            allowed=f"{', '.join(wanted)} (an empty key where something is not known), and any others",
        )
    keys = {name: pd.api.types.infer_dtype(entities[name], skipna=True) for name in wanted[1:]}
    if other := {name: kind for name, kind in keys.items() if kind not in ("string", "empty")}:
        raise BadInputError(
            "keys are not text", got=", ".join(f"{name} of {kind}" for name, kind in other.items()), fix="write them so"
        )
    taken = {CREATED, *(name for each in service(service_name) for name in each.features)}
    if clash := sorted(taken & set(entities.columns)):
        raise BadInputError("columns have the names of features", got=", ".join(clash), fix="rename them")
    if not isinstance(entities[TIME].dtype, pd.DatetimeTZDtype):
        raise BadInputError(
            f"{TIME} has no time zone", got=str(entities[TIME].dtype), allowed="times with a zone, for instance UTC"
        )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time: Feast writes its registry in place."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_shared(sqlite: Path) -> None:
    """Let the SQLite file be read while it is written."""
    with contextlib.closing(sqlite3.connect(sqlite, timeout=30)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what Feast prints off stdout, and warnings of its dependencies. Not for look-ups: it changes the process."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


@contextlib.contextmanager
def _feast_errors(doing: str) -> Iterator[None]:
    """Failures of Feast and of the stores behind it, in words."""
    from redis.exceptions import RedisError

    try:
        yield
    except MaskerError:
        raise
    except (RedisError, OSError, sqlite3.Error) as error:
        raise TemporaryError(
            "the feature store does not answer",
            got=f"{doing}: {type(error).__name__}: {error}",
            fix="check MASKER_ONLINE_STORE and MASKER_STORE_URI, then run again",
        ) from error
    except ImportError:
        raise
    except Exception as error:  # Feast raises many types of its own, and ValueError
        raise MaskerError("Feast failed", got=f"{doing}: {type(error).__name__}: {error}") from error
