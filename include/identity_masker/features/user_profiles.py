"""From a file of another system to rows of the view `user_profile`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.person_table import read_table
from identity_masker.features.definitions import TIME, USER_PROFILE


def profile_rows(path: Path, unit: Callable[[str], str], now: datetime) -> pd.DataFrame:
    """The users of a CSV or Parquet file, one row each; `unit` hashes their ids, which are not kept.

    Columns: `user`, any of the features of `user_profile`, and `event_timestamp` (ISO 8601 with a zone), which is
    `now` where the file has none. Raises `NotFoundError` for no such file, `BadInputError` for one that is no table or
    has other columns.
    """
    rows = _read(path)
    known = [USER_PROFILE.entity, *USER_PROFILE.features, TIME]
    unknown = sorted(set(map(str, rows.columns)) - set(known))
    if unknown or USER_PROFILE.entity not in rows.columns:
        delimiter = next((each for each in (";", "\t", "|") if len(rows.columns) == 1 and each in rows.columns[0]), "")
        raise BadInputError(
            "the file of users has other columns",
            got=", ".join(map(str, rows.columns)),
            allowed=f"{USER_PROFILE.entity} and any of {', '.join(known[1:])}",
            fix=f"separate the columns by commas, not by {delimiter!r}" if delimiter else "rename the columns",
        )
    empty = rows[USER_PROFILE.entity].isna() | (rows[USER_PROFILE.entity].astype(str) == "")
    if empty.any():
        raise BadInputError("rows of the file name no user", got=f"{int(empty.sum())} of {len(rows)} rows")
    missing: dict[str, Any] = {name: None for name in USER_PROFILE.features if name not in rows.columns}
    units = [unit(str(user)) for user in rows[USER_PROFILE.entity]]
    known_since = _times(rows, now)
    return rows.assign(**missing).assign(**{USER_PROFILE.entity: units}).assign(**{TIME: known_since})


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise NotFoundError("there is no such file of users", got=path)
    return read_table(path.read_bytes(), str(path), "file of users", (USER_PROFILE.entity, TIME))


def _times(rows: pd.DataFrame, now: datetime) -> pd.Series:
    if TIME not in rows.columns:
        return pd.Series(pd.Timestamp(now), index=rows.index)
    try:
        times = pd.Series([_moment(time) for time in rows[TIME]], index=rows.index)
        naive = [str(time) for time in times if pd.isna(time) or time.tzinfo is None]
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInputError(
            f"a time in {TIME} cannot be read", got=error, allowed="2026-03-01T12:00:00+00:00"
        ) from error
    if naive:
        raise BadInputError(f"a time in {TIME} has no zone", got=naive[0], allowed="2026-03-01T12:00:00+00:00")
    return pd.to_datetime(times, utc=True)


def _moment(time: object) -> pd.Timestamp:
    # pandas itself reads much that is no ISO 8601, and numbers as nanoseconds.
    given = datetime.fromisoformat(time) if isinstance(time, str) else time
    if not isinstance(given, datetime):
        raise TypeError(f"{time!r}")
    return pd.Timestamp(given)
