"""Sticky assignments that outlive a process: in memory for the request, in the control database for everybody else."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Self

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from identity_masker.experiments.sticky import MemoryStickyStore
from identity_masker.serving import schema

# Rows of writers that overlap become visible out of the order of their ids.
OVERLAP = 1000
BATCH = 10_000
INSERT = text(
    "INSERT INTO sticky_assignments (attribute, unit, key, variant) VALUES (:attribute, :unit, :key, :variant) "
    "ON CONFLICT DO NOTHING"
)


class StickyTable:
    """A `StickyStore` that answers from memory; `sync` writes what is new and reads what others wrote."""

    def __init__(self, url: str) -> None:
        """Raises `TemporaryError` when the control database does not answer."""
        self._engine = schema.open_engine(url)
        self._memory = MemoryStickyStore()
        self._waiting: deque[dict[str, str]] = deque()
        self._read_until = 0

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, attribute: str, value: str) -> Mapping[str, str]:
        return self._memory.get(attribute, value)

    def put(self, attribute: str, value: str, key: str, variant: str) -> None:
        self._memory.put(attribute, value, key, variant)
        self._waiting.append({"attribute": attribute, "unit": value, "key": key, "variant": variant})

    def sync(self) -> None:
        """Write what waits and read what is new: what stands in the table holds for all gateways.

        Raises `TemporaryError` when the control database does not answer; nothing is lost then.
        """
        columns = schema.sticky_assignments.c
        rows = [self._waiting[at] for at in range(min(len(self._waiting), BATCH))]
        query = select(schema.sticky_assignments).where(columns.id > self._read_until - OVERLAP).order_by(columns.id)
        try:
            with self._engine.begin() as connection:
                if rows:
                    connection.execute(INSERT, rows)
                found = connection.execute(query).all()
        except SQLAlchemyError as error:
            raise schema.unreachable(self._engine, error) from error
        for _ in rows:
            self._waiting.popleft()
        for row in found:
            self._memory.put(row.attribute, row.unit, row.key, row.variant)
            self._read_until = max(self._read_until, row.id)
