"""All rollouts in the control database, one chain of states: only the newest rollout can be under way."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy import Row, func, insert, literal, select
from sqlalchemy.exc import IntegrityError

from identity_masker.errors import ConflictError, MaskerError, NotFoundError
from identity_masker.release.rollout import Rollout
from identity_masker.serving import schema
from identity_masker.serving.control import Control


class Entry(NamedTuple):
    """A state and its number in the chain."""

    number: int
    rollout: Rollout


class RolloutLog:
    """Append-only. Each write names the entry that it follows, so that of two drivers one is told to look again."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def newest(self) -> Entry | None:
        return self._one(None)

    def find(self, rollout: str) -> Rollout:
        """The last state of a rollout. Raises `NotFoundError` for an unknown one."""
        entry = self._one(rollout)
        if entry is None:
            raise NotFoundError("there is no such rollout", got=rollout, fix="see `masker release status`")
        return entry.rollout

    def write(self, rollout: Rollout, *, expected: int) -> Entry:
        """Append a state after entry `expected` (0 for none).

        Raises `ConflictError` when another one was appended in between.
        """
        columns = schema.rollouts.c
        newest = select(func.coalesce(func.max(columns.number), 0)).scalar_subquery()
        values = select(
            literal(expected + 1),
            literal(rollout.id),
            literal(rollout.model_dump(mode="json"), columns.document.type),
            literal(schema.utc_now()),
        ).where(newest == expected)
        names = ["number", "rollout", "document", "written_at"]
        statement = insert(schema.rollouts).from_select(names, values).returning(columns.number)
        try:
            with self._control.transaction() as connection:
                won = connection.execute(statement).scalar() is not None
        except IntegrityError:
            won = False  # another writer took the same number between the look and the write
        if not won:
            raise ConflictError(
                "the rollout has changed since it was read", allowed=f"entry {expected}", fix="read it again"
            )
        return Entry(expected + 1, rollout)

    def _one(self, rollout: str | None) -> Entry | None:
        query = select(schema.rollouts).order_by(schema.rollouts.c.number.desc()).limit(1)
        if rollout is not None:
            query = query.where(schema.rollouts.c.rollout == rollout)
        with self._control.transaction() as connection:
            row = connection.execute(query).first()
        return _entry(row) if row is not None else None


def _entry(row: Row[Any]) -> Entry:
    try:
        return Entry(row.number, Rollout.model_validate(row.document))
    except ValidationError as error:
        raise MaskerError(
            "the stored rollout cannot be read",
            got=f"entry {row.number}: {error.errors()[0]['msg']}",
            fix="upgrade this installation if a newer one wrote it",
        ) from error
