"""What each source sent over windows, out of the event log: rows of the view `source_statistics`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from identity_masker import artifacts, duck
from identity_masker.features import feature_statistics
from identity_masker.features.definitions import SOURCE_STATISTICS, TIME, WINDOWS
from identity_masker.features.places import FeaturePlaces
from identity_masker.telemetry import event_store

if TYPE_CHECKING:
    import pandas as pd

HOUR = timedelta(hours=1)
FURTHEST_BACK = timedelta(hours=48)
_OK = 200
_MEMORY = "512MB"


def whole_hours(places: FeaturePlaces, now: datetime) -> list[datetime]:
    """The ends of the hours whose events are whole and that have no statistics yet, oldest first.

    An hour that is not whole ends the list: the windows of later ones need it.
    """
    known = [each.last for each in feature_statistics.history(SOURCE_STATISTICS.name, places) if each.last]
    start = event_store.hour_of(max([*known, now - FURTHEST_BACK]))
    end = event_store.hour_of(now)
    missing = event_store.missing_hours(places.store, "requests", start, end) if start < end else []
    seen = [hour for hour in event_store.hours(start, end) if hour not in missing]
    return [hour + HOUR for hour in seen]


def source_rows(places: FeaturePlaces, ends: Sequence[datetime]) -> pd.DataFrame:
    """One row a source and end of an hour with pictures in the day before; it holds since that end.

    Requests that name no source (header x-source-id) are in none of them, nor are copies for a shadow.
    """
    import pandas as pd

    with tempfile.TemporaryDirectory() as work:
        frames = [_rows(places.store, end, Path(work)) for end in ends]
    kept = [frame for frame in frames if len(frame)]
    columns = [SOURCE_STATISTICS.entity, *SOURCE_STATISTICS.features, TIME]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=columns)


def _rows(store: str, end: datetime, work: Path) -> pd.DataFrame:
    import pandas as pd

    longest = max(WINDOWS.values())
    files = event_store.files(store, "requests", end - longest, end)
    columns = [SOURCE_STATISTICS.entity, *SOURCE_STATISTICS.features]
    if not files:
        return pd.DataFrame(columns=[*columns, TIME])
    with duck.connect(memory_limit=_MEMORY, temp_directory=str(work)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if not artifacts.is_local(store):
            connection.register_filesystem(artifacts.split(store)[0])
        source = "read_parquet(?, union_by_name = true, hive_partitioning = false)"
        present = connection.execute(f"SELECT * FROM {source} LIMIT 0", [files]).description  # noqa: S608
        if "source" not in {column[0] for column in present or ()}:
            return pd.DataFrame(columns=[*columns, TIME])
        select = ", ".join(part for name, length in WINDOWS.items() for part in _aggregates(name, end - length))
        query = f"""
            SELECT source, {select} FROM {source}
            WHERE source <> '' AND via IS DISTINCT FROM 'shadow' AND time >= ? AND time < ?
            GROUP BY source ORDER BY source
        """  # noqa: S608 - only names of this package and times
        found: pd.DataFrame = connection.execute(query, [files, end - longest, end]).df()
    return found.assign(**{TIME: pd.Timestamp(end)})


def _aggregates(window: str, start: datetime) -> list[str]:
    within = f"time >= TIMESTAMPTZ '{start.isoformat()}'"
    return [
        f"count(*) FILTER ({within}) AS pictures_{window}",
        f"avg((status <> {_OK})::INT) FILTER ({within}) AS failed_share_{window}",
        *(f"avg({name}) FILTER ({within}) AS {name}_{window}" for name in ("brightness", "contrast", "sharpness")),
        f"quantile_cont(sharpness, 0.1) FILTER ({within}) AS sharpness_p10_{window}",
    ]
