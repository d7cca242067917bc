"""The control database: what should serve (deployments), what does serve (endpoints), and who serves whom (routing).

Release, experiments and deploy write here; fleet and gateway read. Nothing else passes between them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Row, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from identity_masker.errors import ConflictError, MaskerError
from identity_masker.serving import schema
from identity_masker.serving.routing import RoutingTable

EndpointState = Literal["starting", "ready", "draining", "failed", "refused"]


class Revision(NamedTuple):
    """One write of the routing table; its history is all of them."""

    number: int
    table: RoutingTable
    author: str
    reason: str
    written_at: str


class Deployment(BaseModel):
    """A version that should be served, by how many model servers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    semver: str
    replicas: int = Field(ge=0, le=64)


class Endpoint(BaseModel):
    """One model server as its fleet last saw it.

    `owner` is the fleet and `slot` the replica within it; `detail` says why a server is not ready. A server that
    was `refused` stopped with an error that trying again cannot mend.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    slot: str
    version: str
    url: str
    pid: int
    state: EndpointState
    detail: str = ""
    restarts: int = 0
    heartbeat: float = 0.0


class Control:
    """An open control database. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """Raises `BadInputError` for a wrong URL, `TemporaryError` when the database does not answer."""
        self._engine = schema.open_engine(url)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise schema.unreachable(self._engine, error) from error

    def transaction(self) -> AbstractContextManager[Connection]:
        """A transaction for tables that other packages keep here (`schema`). Raises as the methods below."""
        return self._transaction()

    # Routing

    def revision_number(self) -> int:
        """The number of the newest revision of the routing table; 0 before the first."""
        with self._transaction() as connection:
            return connection.execute(select(func.max(schema.routing.c.revision))).scalar() or 0

    def revision(self) -> Revision | None:
        """The newest routing table, or None before the first."""
        return next(iter(self.history(limit=1)), None)

    def history(self, limit: int = 100) -> list[Revision]:
        """The newest `limit` revisions, newest first."""
        query = select(schema.routing).order_by(schema.routing.c.revision.desc()).limit(limit)
        with self._transaction() as connection:
            return [_revision(row) for row in connection.execute(query)]

    def write_routing(self, table: RoutingTable, *, expected: int, author: str, reason: str) -> Revision:
        """Replace revision `expected` (0 for none) by `table`.

        Raises `ConflictError` when the newest revision is another one: somebody wrote in between.
        """
        columns = schema.routing.c
        written = Revision(expected + 1, table, author, reason, schema.utc_now())
        newest = select(func.coalesce(func.max(columns.revision), 0)).scalar_subquery()
        values = select(
            literal(written.number),
            literal(table.model_dump(mode="json"), columns.document.type),
            literal(written.author),
            literal(written.reason),
            literal(written.written_at),
        ).where(newest == expected)
        names = ["revision", "document", "author", "reason", "written_at"]
        statement = insert(schema.routing).from_select(names, values).returning(columns.revision)
        try:
            with self._transaction() as connection:
                won = connection.execute(statement).scalar() == written.number
        except IntegrityError:
            won = False  # another writer took the same number between the look and the write
        if not won:
            raise ConflictError(
                "the routing table has changed since it was read",
                got=f"revision {self.revision_number()}",
                allowed=f"revision {expected}",
                fix="read it again and decide anew",
            )
        return written

    # Deployments

    def deploy(self, deployment: Deployment, *, author: str, reason: str) -> None:
        """Say how many model servers `deployment.version` should have from now on. Writing the same is no write."""
        if self.deployment(deployment.version) == deployment:
            return
        row = {**deployment.model_dump(), "author": author, "reason": reason, "written_at": schema.utc_now()}
        with self._transaction() as connection:
            connection.execute(insert(schema.deployments), row)

    def deployment(self, version: str) -> Deployment | None:
        return next((d for d in self._deployments() if d.version == version), None)

    def deployments(self) -> list[Deployment]:
        """Every version that should have at least one model server."""
        return [d for d in self._deployments() if d.replicas > 0]

    def _deployments(self) -> list[Deployment]:
        columns = schema.deployments.c
        newest = select(func.max(columns.id)).group_by(columns.version)
        query = select(columns.version, columns.semver, columns.replicas).where(columns.id.in_(newest))
        with self._transaction() as connection:
            return [Deployment(**row._mapping) for row in connection.execute(query.order_by(columns.id))]

    # Endpoints

    def endpoints(self, version: str | None = None) -> list[Endpoint]:
        query = select(schema.endpoints).order_by(schema.endpoints.c.owner, schema.endpoints.c.slot)
        if version is not None:
            query = query.where(schema.endpoints.c.version == version)
        with self._transaction() as connection:
            return [Endpoint(**row._mapping) for row in connection.execute(query)]

    def record_endpoint(self, endpoint: Endpoint) -> None:
        """Write what is known of one model server, with the time as its heartbeat."""
        row = {**endpoint.model_dump(), "heartbeat": time.time()}
        columns = schema.endpoints.c
        same = (columns.owner == endpoint.owner) & (columns.slot == endpoint.slot)
        with suppress(IntegrityError), self._transaction() as connection:  # another fleet of this name was first
            if not connection.execute(update(schema.endpoints).where(same).values(**row)).rowcount:
                connection.execute(insert(schema.endpoints), row)

    def forget_endpoint(self, owner: str, slot: str) -> None:
        columns = schema.endpoints.c
        with self._transaction() as connection:
            connection.execute(delete(schema.endpoints).where(columns.owner == owner, columns.slot == slot))


def _revision(row: Row[Any]) -> Revision:
    try:
        table = RoutingTable.model_validate(row.document)
    except ValidationError as error:
        raise MaskerError(
            "the stored routing table cannot be read",
            got=f"revision {row.revision}: {error.errors()[0]['msg']}",
            fix="write a new revision, or upgrade this installation if a newer one wrote it",
        ) from error
    return Revision(row.revision, table, row.author, row.reason, row.written_at)
