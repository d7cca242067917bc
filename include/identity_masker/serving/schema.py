"""The tables of the control database, and the engine that opens it (SQLite or PostgreSQL)."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from identity_masker import artifacts
from identity_masker.errors import BadInputError, TemporaryError

VERSION = 1
"""Raised when the tables change so that older code cannot use them."""

_LOCK = 7_246_511  # pg_advisory_xact_lock: one process makes the tables, the others wait
_BUSY_SECONDS = 10
_CONNECT_SECONDS = 5

metadata = MetaData()

schema_version = Table("masker_schema", metadata, Column("version", Integer, primary_key=True))

routing = Table(
    "routing",
    metadata,
    # Append-only: the primary key makes the next revision a compare-and-set, and the rows are the history.
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("document", JSON, nullable=False),
    Column("author", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("written_at", String(32), nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    # Append-only too: the newest row of a version holds.
    Column("id", Integer, primary_key=True),
    Column("version", String(64), nullable=False, index=True),
    Column("semver", String(64), nullable=False),
    Column("replicas", Integer, nullable=False),
    Column("author", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("written_at", String(32), nullable=False),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("owner", String(200), primary_key=True),
    Column("slot", String(80), primary_key=True),
    Column("version", String(64), nullable=False, index=True),
    Column("url", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("heartbeat", Float, nullable=False),
)

allocations = Table(
    "allocations",
    metadata,
    # As `routing`, one chain of revisions an experiment.
    Column("experiment", String(60), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("document", JSON, nullable=False),
    Column("author", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("written_at", String(32), nullable=False),
)

sticky_assignments = Table(
    "sticky_assignments",
    metadata,
    # The first gateway that places a unit decides for all: a later row of the same key is ignored.
    Column("id", Integer, primary_key=True),
    Column("attribute", String(60), nullable=False),
    Column("unit", String(256), nullable=False),
    Column("key", String(80), nullable=False),
    Column("variant", String(40), nullable=False),
    UniqueConstraint("attribute", "unit", "key", name="one_variant_a_unit"),
)

holds = Table(
    "holds",
    metadata,
    Column("holder", String(80), primary_key=True),
    Column("part", String(60), primary_key=True),
    Column("version", String(64), nullable=False),
    Column("semver", String(64), nullable=False),
    Column("replicas", Integer, nullable=False),
    Column("written_at", String(32), nullable=False),
)

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    # After its end a token is refused anyway, and its row is of no use.
    Column("token_id", String(64), primary_key=True),
    Column("expires_at", Float, nullable=False),
    Column("author", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("revoked_at", String(32), nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    # One chain of all rollouts, append-only: the primary key makes each write a compare-and-set, and only the rollout
    # of the newest row can be under way.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("rollout", String(80), nullable=False, index=True),
    Column("document", JSON, nullable=False),
    Column("written_at", String(32), nullable=False),
)


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def open_engine(url: str) -> Engine:
    """Connect to the control database and make its tables where they are missing.

    Raises `BadInputError` for a URL that no driver reads or tables of a newer version, `TemporaryError` when the
    database does not answer.
    """
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            _create(connection)
    except SQLAlchemyError as error:
        engine.dispose()
        raise unreachable(engine, error) from error
    except Exception:
        engine.dispose()
        raise
    return engine


def unreachable(engine: Engine, error: Exception) -> TemporaryError:
    """`error` of a database that did not answer, without its password."""
    return TemporaryError(
        "the control database cannot be used",
        got=f"{engine.url.render_as_string(hide_password=True)}: {str(getattr(error, 'orig', error)).strip()[:300]}",
        fix="check that it runs and is whole, or set MASKER_CONTROL_DB",
    )


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(url, parsed.database)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        arguments: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS}
        return create_engine(parsed, pool_pre_ping=True, pool_size=2, max_overflow=3, connect_args=arguments)
    except (ArgumentError, ImportError) as error:
        raise BadInputError(
            "the URL of the control database cannot be used",
            got=type(error).__name__,
            allowed="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME",
            fix="set MASKER_CONTROL_DB",
        ) from error


def _sqlite(url: str, path: str | None) -> Engine:
    if path and path != ":memory:":
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise BadInputError(
                "the folder of the control database is a file", got=Path(path).parent, fix="set MASKER_CONTROL_DB"
            ) from error
        except OSError as error:
            raise artifacts.disk_error(error, Path(path)) from error
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: object) -> None:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _write_ahead(connection: Any) -> None:
    """Readers (the gateway, several times a second) must not block the writer.

    SQLite's own patience does not hold for this switch: two processes that open a new database at once met.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _create(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))
    found = connection.execute(select(func.max(schema_version.c.version))).scalar()
    if found is None:
        insert = text("INSERT INTO masker_schema (version) VALUES (:version) ON CONFLICT DO NOTHING")
        connection.execute(insert, {"version": VERSION})
    elif found > VERSION:
        raise BadInputError(
            "the control database was made by a newer version of this project",
            got=f"tables of version {found}",
            allowed=f"at most {VERSION}",
            fix="upgrade this installation",
        )
