"""The definitions as Feast's objects. Importing this takes seconds: import it where it is needed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from identity_masker.features.definitions import CREATED, ENTITIES, SERVICES, TABLES, TIME, FeatureTable, Type
from identity_masker.features.places import FeaturePlaces, redis_connection

PROJECT = "masker"
_COUNTING_IN_FILES = ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR")


@contextmanager
def _counting_as_before() -> Iterator[None]:
    """Feast turns Prometheus's client, here and in every process started from here, into one that counts in files and
    forgets no label (feast/metrics.py); this process keeps counting as it did.
    """
    import prometheus_client  # noqa: F401 - chooses how it counts when it is imported

    before = {name: os.environ.get(name) for name in _COUNTING_IN_FILES}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


with _counting_as_before():
    import feast
    from feast import types
    from feast.data_format import ParquetFormat
    from feast.repo_config import RepoConfig
    from feast.value_type import ValueType

# It tells of every look at its registry.
logging.getLogger("feast").setLevel(logging.WARNING)

_TYPES: Mapping[Type, Any] = {"number": types.Float64, "integer": types.Int64, "text": types.String}


def open_store(places: FeaturePlaces) -> feast.FeatureStore:
    """Feast on these places. A registry is read again after a minute, so that a gateway sees new views."""
    online = (
        {"type": "redis", "connection_string": redis_connection(places.online)}
        if places.online
        else {"type": "sqlite", "path": str(places.sqlite)}
    )
    config = RepoConfig(
        project=PROJECT,
        provider="local",
        registry={"path": str(places.registry), "cache_ttl_seconds": 60},
        online_store=online,
        # In Feast 0.67 the default, dask, loses rows for which a view has no value (the filters of dask.py run after
        # its left join), and values where several files hold some of a key (it relies on an order that dask lacks).
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
    )
    return feast.FeatureStore(config=config)


def objects(places: FeaturePlaces, versions: Mapping[str, str]) -> list[Any]:
    """All entities, feature views and feature services; `versions` holds the semantic version of each view."""
    entities = {
        name: feast.Entity(name=name, join_keys=[name], value_type=ValueType.STRING, description=about)
        for name, about in ENTITIES.items()
    }
    views = {
        table.name: _view(table, entities[table.entity], places, versions[table.name]) for table in TABLES.values()
    }
    services = [
        feast.FeatureService(name=name, features=[views[table.name] for table in tables])
        for name, tables in SERVICES.items()
    ]
    return [*entities.values(), *views.values(), *services]


def _view(table: FeatureTable, entity: feast.Entity, places: FeaturePlaces, version: str) -> feast.FeatureView:
    fields = {table.entity: types.String, **{name: _TYPES[kind] for name, kind in table.features.items()}}
    return feast.FeatureView(
        name=table.name,
        entities=[entity],
        ttl=table.ttl or timedelta(0),
        schema=[feast.Field(name=name, dtype=dtype) for name, dtype in fields.items()],
        source=feast.FileSource(
            name=table.name,
            path=str(places.at_hand(table.name) / "*.parquet"),
            file_format=ParquetFormat(),
            timestamp_field=TIME,
            created_timestamp_column=CREATED,
        ),
        online=table.online,
        description=table.about,
        tags={"version": version},
    )
