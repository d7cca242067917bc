"""Who else needs model servers of a version: a release or a deployment that lets a version go leaves these running."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import delete, insert, select, update

from identity_masker.serving import schema
from identity_masker.serving.control import Control


class Hold(NamedTuple):
    """`holder` needs `replicas` model servers of a version for its `part`."""

    holder: str
    part: str
    version: str
    semver: str
    replicas: int


class Holds:
    """The holds in the control database. Each call may be repeated: the same again changes nothing."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def all(self) -> list[Hold]:
        columns = schema.holds.c
        with self._control.transaction() as connection:
            rows = connection.execute(select(schema.holds).order_by(columns.holder, columns.part)).all()
        return [Hold(row.holder, row.part, row.version, row.semver, row.replicas) for row in rows]

    def place(self, hold: Hold) -> None:
        """Write the hold, in place of the one that the holder had for the same part."""
        same = (schema.holds.c.holder == hold.holder) & (schema.holds.c.part == hold.part)
        row = {**hold._asdict(), "written_at": schema.utc_now()}
        with self._control.transaction() as connection:
            if not connection.execute(update(schema.holds).where(same).values(**row)).rowcount:
                connection.execute(insert(schema.holds), row)

    def drop(self, holder: str) -> None:
        """Let everything go that `holder` held."""
        with self._control.transaction() as connection:
            connection.execute(delete(schema.holds).where(schema.holds.c.holder == holder))

    def floor(self, version: str) -> int:
        """The fewest model servers that the version keeps; 0 when nobody holds it."""
        return max((hold.replicas for hold in self.all() if hold.version == version), default=0)
