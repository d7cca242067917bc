"""The account of an ingestion: every input ends in exactly one of accepted, quarantined, duplicate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from identity_masker.errors import MaskerError
from identity_masker.faces.prepare import Prepared, Refused

QUARANTINE_COLUMNS = pa.schema(
    [("name", pa.string()), ("identity", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
)
DUPLICATE_COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("identity", pa.string()),
        ("duplicate_of", pa.string()),
        ("duplicate_of_identity", pa.string()),
    ]
)


@dataclass(frozen=True)
class Duplicate:
    """An input with the pixels of another, accepted one."""

    name: str
    identity: str
    duplicate_of: str
    duplicate_of_identity: str


@dataclass
class Ledger:
    """Counts inputs as they come and what became of each."""

    inputs: int = 0
    accepted: int = 0
    refused: list[Refused] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    _first: dict[str, tuple[str, str]] = field(default_factory=dict)

    def refuse(self, refused: Refused) -> None:
        self.inputs += 1
        self.refused.append(refused)

    def admit(self, face: Prepared) -> bool:
        """Whether `face` is new; the first of several with the same pixels is, the others are its duplicates."""
        self.inputs += 1
        mine = (face.name, face.identity)
        first = self._first.setdefault(face.content_hash, mine)
        if first is mine:
            self.accepted += 1
            return True
        self.duplicates.append(Duplicate(face.name, face.identity, *first))
        return False

    def reasons(self) -> dict[str, int]:
        return dict(sorted(Counter(refused.reason for refused in self.refused).items()))

    def duplicates_across_people(self) -> int:
        return sum(d.identity != d.duplicate_of_identity for d in self.duplicates)

    def balance(self, rows: int) -> None:
        """Raise unless the account adds up and `rows` images were stored for the accepted inputs."""
        ended = self.accepted + len(self.refused) + len(self.duplicates)
        if ended != self.inputs or rows != self.accepted:
            raise MaskerError(
                "the ingestion does not account for every input",
                got=f"{self.inputs} inputs, {ended} with an outcome, {self.accepted} accepted, {rows} stored",
                fix="report this as a defect of identity_masker.faces",
            )

    def write(self, folder: Path) -> None:
        """`quarantine.parquet` and `duplicates.parquet` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        refused = pa.Table.from_pylist([vars(row) for row in self.refused], QUARANTINE_COLUMNS)
        pq.write_table(refused, folder / "quarantine.parquet")
        duplicates = pa.Table.from_pylist([vars(row) for row in self.duplicates], DUPLICATE_COLUMNS)
        pq.write_table(duplicates, folder / "duplicates.parquet")
