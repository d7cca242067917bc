"""Tables that people keep: a row a person, as CSV or Parquet."""

from __future__ import annotations

import io
from datetime import date
from typing import TYPE_CHECKING

from identity_masker.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd

DAMAGES = (ValueError, TypeError, KeyError, OverflowError, OSError)
"""What pandas runs into in a damaged Parquet file, beside Arrow's own errors."""
_MISSING = [""]
"""What is no value in a CSV. A person may be called NA, None or Null."""


def read_table(content: bytes, origin: str, what: str, texts: tuple[str, ...]) -> pd.DataFrame:
    """The table in `content`, Parquet where `origin` ends so and else CSV, whose columns `texts` stay as written.

    Raises `BadInputError` for what is no table and for columns that come twice; `what` names it in errors.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.csv

    try:
        if origin.endswith(".parquet"):
            rows = pd.read_parquet(io.BytesIO(content))
        else:
            # pandas takes a first field too many for an index, and renames a column that comes twice.
            convert = pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(texts, pa.string()), null_values=_MISSING, strings_can_be_null=True
            )
            rows = pyarrow.csv.read_csv(io.BytesIO(content), convert_options=convert).to_pandas()
    except (pa.ArrowException, *DAMAGES) as error:
        raise BadInputError(
            f"the {what} cannot be read",
            got=f"{origin}: {str(error).partition(chr(10))[0]}",
            allowed="CSV in UTF-8 with a heading, or Parquet",
        ) from error
    names = list(map(str, rows.columns))
    if len(set(names)) < len(names):
        raise BadInputError(f"the {what} has columns of one name", got=f"{', '.join(names)} in {origin}")
    return rows.set_axis(names, axis=1)


def days(values: pd.Series, origin: str) -> pd.Series:
    """ISO dates, or times that become their day in UTC, empty for none. Raises `BadInputError` for what is neither."""
    import pandas as pd

    known = values.dropna()
    strange = next((value for value in known if not isinstance(value, str | date)), None)
    try:
        if strange is not None:
            raise ValueError(f"{strange!r}")
        return pd.to_datetime(values.astype(object), format="ISO8601", utc=True).dt.normalize()
    except (ValueError, OverflowError) as error:
        raise BadInputError(
            f"a date in {values.name} cannot be read", got=f"{error} in {origin}", allowed="2026-03-01, or empty"
        ) from error
