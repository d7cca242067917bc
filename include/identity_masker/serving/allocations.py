"""Allocations in the control database: which weights an experiment's variants have, from when on, and who said so.

One document an experiment, written as the routing table is (contract 4 of DESIGN.md): append-only, each write a
compare-and-set on the revision before it, so that the rows are the history and the audit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import Row, func, insert, literal, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from identity_masker.errors import ConflictError, MaskerError
from identity_masker.serving import schema
from identity_masker.serving.routing import VariantName
from identity_masker.telemetry import logs

WEIGHT_TOLERANCE = 1e-6
log = logs.logger(__name__)


class AllocationDocument(BaseModel):
    """The weights of an experiment's variants, and whether units still enter.

    `applies_from` lies a little after the write: every gateway has read the document by then, and all change over at
    that moment, which the analysis knows exactly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Literal["running", "stopped"] = "running"
    weights: dict[VariantName, float] = Field(min_length=2)
    applies_from: AwareDatetime

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(not 0.0 <= weight <= 1.0 for weight in self.weights.values()):
            raise ValueError(f"a weight lies between 0 and 1, got {self.weights}")
        total = sum(self.weights.values())
        if abs(total - 1.0) > WEIGHT_TOLERANCE:
            raise ValueError(f"the weights sum to {total:g}, not to 1")
        return self


class AllocationRevision(NamedTuple):
    """One write of an experiment's allocation."""

    experiment: str
    number: int
    document: AllocationDocument
    author: str
    reason: str
    written_at: str


class AllocationLedger:
    """The allocations of all experiments. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """Raises `BadInputError` for a wrong URL, `TemporaryError` when the database does not answer."""
        self._engine = schema.open_engine(url)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def history(self, experiment: str) -> list[AllocationRevision]:
        """All revisions of an experiment's allocation, oldest first."""
        columns = schema.allocations.c
        query = select(schema.allocations).where(columns.experiment == experiment).order_by(columns.revision)
        return self._read(query)

    def all_revisions(self) -> dict[str, list[AllocationRevision]]:
        """The revisions of every experiment that has any, oldest first: what a gateway follows."""
        columns = schema.allocations.c
        found: dict[str, list[AllocationRevision]] = {}
        for each in self._read(select(schema.allocations).order_by(columns.experiment, columns.revision)):
            found.setdefault(each.experiment, []).append(each)
        return found

    def write(
        self, experiment: str, document: AllocationDocument, *, expected: int, author: str, reason: str
    ) -> AllocationRevision:
        """Write the revision after `expected` (0 for none).

        Raises `ConflictError` when the newest revision is another one: somebody wrote in between.
        """
        written = AllocationRevision(experiment, expected + 1, document, author, reason, schema.utc_now())
        try:
            with self._engine.begin() as connection:
                won = connection.execute(_insertion(written, expected)).scalar() == written.number
        except IntegrityError:
            won = False  # another writer took the same number between the look and the write
        except SQLAlchemyError as error:
            raise schema.unreachable(self._engine, error) from error
        if not won:
            raise ConflictError(
                "the experiment's allocation has changed since it was read",
                got=f"revision {max((each.number for each in self.history(experiment)), default=0)}",
                allowed=f"revision {expected}",
                fix="read it again and decide anew",
            )
        log.info(
            "allocation_written", experiment=experiment, revision=written.number, author=author, reason=reason,
            state=document.state, weights=document.weights,
        )  # fmt: skip
        return written

    def _read(self, query: Any) -> list[AllocationRevision]:
        try:
            with self._engine.begin() as connection:
                return [_revision(row) for row in connection.execute(query)]
        except SQLAlchemyError as error:
            raise schema.unreachable(self._engine, error) from error


def in_force(revisions: list[AllocationRevision], now: datetime) -> AllocationDocument | None:
    """The newest document that applies at `now`; None before the first."""
    applying = [each.document for each in revisions if each.document.applies_from <= now]
    return applying[-1] if applying else None


def _insertion(written: AllocationRevision, expected: int) -> Any:
    columns = schema.allocations.c
    newest = (
        select(func.coalesce(func.max(columns.revision), 0))
        .where(columns.experiment == written.experiment)
        .scalar_subquery()
    )
    values = select(
        literal(written.experiment),
        literal(written.number),
        literal(written.document.model_dump(mode="json"), columns.document.type),
        literal(written.author),
        literal(written.reason),
        literal(written.written_at),
    ).where(newest == expected)
    names = ["experiment", "revision", "document", "author", "reason", "written_at"]
    return insert(schema.allocations).from_select(names, values).returning(columns.revision)


def _revision(row: Row[Any]) -> AllocationRevision:
    try:
        document = AllocationDocument.model_validate(row.document)
    except ValidationError as error:
        raise MaskerError(
            "the stored allocation cannot be read",
            got=f"revision {row.revision} of {row.experiment}: {error.errors()[0]['msg']}",
            fix="write a new revision, or upgrade this installation if a newer one wrote it",
        ) from error
    return AllocationRevision(row.experiment, row.revision, document, row.author, row.reason, row.written_at)
