"""Who agreed that their pictures are used: a table that people keep beside the dataset."""

from __future__ import annotations

import io
from datetime import date
from typing import TYPE_CHECKING, Literal

from identity_masker import artifacts
from identity_masker.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd

State = Literal["given", "withdrawn", "missing", "not_recorded"]
COLUMNS = ("identity", "given_on", "withdrawn_on")


def states(people: pd.Series, table: str | None, today: date) -> pd.Series:
    """The consent of each identity of `people` on the day `today`.

    `table` is the URI of a CSV or Parquet file with a row a person: `identity`, `given_on` and `withdrawn_on` (ISO
    dates, empty for never). Without a table every consent is `not_recorded`. Raises `NotFoundError` for no such file,
    `BadInputError` for one that is no such table or names a person twice.
    """
    import pandas as pd

    if table is None:
        return pd.Series("not_recorded", index=people.index, dtype="object")
    known = _read(table).set_index("identity")
    given = people.map(known["given_on"])
    withdrawn = people.map(known["withdrawn_on"])
    end = pd.Timestamp(today)
    found = pd.Series("missing", index=people.index, dtype="object")
    found[given.notna() & (given <= end)] = "given"
    found[found.eq("given") & withdrawn.notna() & (withdrawn <= end)] = "withdrawn"
    return found


def _read(table: str) -> pd.DataFrame:
    import pandas as pd

    content = artifacts.read_bytes(table)
    try:
        reads = pd.read_parquet if table.endswith(".parquet") else pd.read_csv
        rows: pd.DataFrame = reads(io.BytesIO(content))
        if missing := [name for name in COLUMNS if name not in rows.columns]:
            raise BadInputError(
                "the table of consents lacks columns",
                got=f"{', '.join(map(str, rows.columns))} in {table}",
                allowed=", ".join(COLUMNS),
                fix=f"add {', '.join(missing)}; separate the columns of a CSV by commas",
            )
        rows = rows.astype({"identity": str})
        for name in COLUMNS[1:]:
            rows[name] = pd.to_datetime(rows[name], format="ISO8601")
    except (ValueError, OSError) as error:
        raise BadInputError(
            "the table of consents cannot be read", got=f"{table}: {error}", allowed="CSV or Parquet with ISO dates"
        ) from error
    if (twice := rows.loc[rows["identity"].duplicated(), "identity"]).any():
        raise BadInputError(
            "the table of consents names a person twice", got=twice.iloc[0], fix="keep one row a person"
        )
    return rows
