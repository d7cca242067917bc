"""DuckDB in memory, opened so that nothing but results leaves it."""

from __future__ import annotations

import duckdb

Setting = str | bool | int | float | list[str]


def connect(**config: Setting) -> duckdb.DuckDBPyConnection:
    """A database in memory with DuckDB's configuration `config`.

    DuckDB draws a progress bar on stdout after two seconds, where a command's JSON belongs.
    """
    connection = duckdb.connect(config=config)
    connection.execute("SET enable_progress_bar = false")
    return connection
