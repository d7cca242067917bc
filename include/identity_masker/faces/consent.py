"""Who agreed that their pictures are used: a table that people keep beside the dataset."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.faces.person_table import days, read_table

if TYPE_CHECKING:
    import pandas as pd

State = Literal["given", "withdrawn", "missing", "not_recorded"]
COLUMNS = ("identity", "given_on", "withdrawn_on")


def states(people: pd.Series, table: str | None, today: date) -> pd.Series:
    """The consent of each identity of `people` on the day `today`.

    `table` is the URI of a CSV or Parquet file with a row a person: `identity`, `given_on` and `withdrawn_on` (ISO
    dates, or times whose day in UTC counts; empty for never). Without a table every consent is `not_recorded`.
    Raises `NotFoundError` for no such file, `BadInputError` for one that is no such table or names a person twice.
    """
    import pandas as pd

    if table is None:
        return pd.Series("not_recorded", index=people.index, dtype="object")
    known = _read(table).set_index("identity")
    given = people.map(known["given_on"])
    withdrawn = people.map(known["withdrawn_on"])
    end = pd.Timestamp(today, tz="UTC")
    found = pd.Series("missing", index=people.index, dtype="object")
    found[given.notna() & (given <= end)] = "given"
    found[found.eq("given") & withdrawn.notna() & (withdrawn <= end)] = "withdrawn"
    return found


def _read(table: str) -> pd.DataFrame:
    rows = read_table(artifacts.read_bytes(table), table, "table of consents", COLUMNS)
    if missing := [name for name in COLUMNS if name not in rows.columns]:
        raise BadInputError(
            "the table of consents lacks columns",
            got=f"{', '.join(rows.columns)} in {table}",
            allowed=", ".join(COLUMNS),
            fix=f"add {', '.join(missing)}; separate the columns of a CSV by commas",
        )
    if (nobody := rows["identity"].isna() | (rows["identity"].astype(str) == "")).any():
        raise BadInputError("rows of the table of consents name nobody", got=f"{nobody.sum()} rows of {table}")
    rows = rows.astype({"identity": str}).assign(**{name: days(rows[name], table) for name in COLUMNS[1:]})
    if len(twice := rows.loc[rows["identity"].duplicated(), "identity"]):
        raise BadInputError(
            "the table of consents names a person twice", got=twice.iloc[0], fix="keep one row a person"
        )
    return rows
