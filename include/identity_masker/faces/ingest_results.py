"""What the steps of an ingestion tell, and the refusal of a source that no version can be made of."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict

from identity_masker.errors import BadInputError
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.versions import Counts, VersionRecord

FEWEST_PEOPLE = 2


class IngestResult(BaseModel):
    """What an ingestion did. `snapshot` and `version` are None when the source was refused as a whole.

    `read` inputs were opened, of the others the outcome was known. `account_uri` is the folder of `inputs.parquet`,
    which has the outcome of every input, and of `quarantine.parquet` and `duplicates.parquet`.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    snapshot: str | None
    version: str | None
    new_version: bool
    inputs: int
    read: int
    accepted: int
    quarantined: int
    duplicates: int
    reasons: dict[str, int]
    people: int
    splits: dict[str, int]
    account_uri: str
    seconds: float


class Part(BaseModel):
    """Blocks of a plan that one task reads."""

    model_config = ConfigDict(frozen=True)

    plan: str
    part: int


class PlanResult(BaseModel):
    """`parts` are to be read apart from one another; there are none when `carry_out` can as well read all itself.

    `version` is the one that was made of the same inputs before, else None.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    plan: str
    inputs: int
    new: int
    parts: tuple[Part, ...]
    version: str | None
    seconds: float


class ReadResult(BaseModel):
    """What reading a part did; `blocks` were read now, `found` had been read before."""

    model_config = ConfigDict(frozen=True)

    plan: str
    part: int
    blocks: int
    found: int
    seconds: float


class SourceRefusedError(BadInputError):
    """No snapshot can be made of the source; `result` still accounts for its inputs."""

    def __init__(self, result: IngestResult, *, got: str) -> None:
        self.result = result
        super().__init__(
            "the source does not show enough people to tell apart",
            got=got,
            allowed=f"usable pictures of {FEWEST_PEOPLE} people or more, each person's in a folder of their own",
            fix="pass the folder that holds one sub-folder a person; "
            f"quarantine.parquet in {result.account_uri} names the refused files",
        )


def found_in(counts: Counts, config: DatasetConfig) -> str:
    """What the source of `config` has, in words."""
    people = "1 person" if counts.people == 1 else f"{counts.people} people"
    refused = ", ".join(f"{count} {reason}" for reason, count in counts.reasons.items())
    return f"{people} in {counts.inputs} inputs of {config.reader.origin()}" + (f" ({refused})" if refused else "")


def known_result(record: VersionRecord, started: float) -> IngestResult:
    """That the inputs are those of `record`, found since `started` (seconds of the monotonic clock)."""
    return result_of(record.counts, record.account_uri, started, read=0, record=record)


def result_of(
    counts: Counts,
    account_uri: str,
    started: float,
    *,
    read: int,
    record: VersionRecord | None = None,
    new: bool = False,
    name: str = "",
) -> IngestResult:
    """The result with `counts`. `record` is the version, and `new` whether it was made now; else `name` got none.

    `read` inputs were opened since `started` (seconds of the monotonic clock).
    """
    return IngestResult(
        dataset=record.name if record else name,
        snapshot=record.snapshot if record else None,
        version=record.version if record else None,
        new_version=new,
        read=read,
        splits=counts.split_images,
        account_uri=account_uri,
        seconds=round(time.monotonic() - started, 3),
        **counts.model_dump(include={"inputs", "accepted", "quarantined", "duplicates", "reasons", "people"}),
    )
