from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import create_engine, text

from identity_masker.errors import ConflictError, MaskerError
from identity_masker.serving.allocations import AllocationDocument, AllocationLedger, in_force

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def document(share: float = 0.5, *, after: int = 0, **changes: Any) -> AllocationDocument:
    weights = {"control": 1 - share, "warm": share}
    return AllocationDocument(weights=weights, applies_from=NOW + timedelta(seconds=after), **changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[AllocationLedger]:
    with AllocationLedger(f"sqlite:///{tmp_path}/control.db") as opened:
        yield opened


def test_every_write_is_kept_with_author_and_reason(ledger: AllocationLedger) -> None:
    ledger.write("tint", document(), expected=0, author="ada", reason="begin")
    ledger.write("tint", document(0.2), expected=1, author="bandit", reason="warm is worse")
    ledger.write("other", document(0.9), expected=0, author="bob", reason="begin")
    found = ledger.history("tint")
    assert [(each.number, each.document.weights["warm"], each.author, each.reason) for each in found] == [
        (1, 0.5, "ada", "begin"),
        (2, 0.2, "bandit", "warm is worse"),
    ]
    assert {name: len(each) for name, each in ledger.all_revisions().items()} == {"tint": 2, "other": 1}


def test_a_write_on_an_old_revision_is_refused(ledger: AllocationLedger) -> None:
    ledger.write("tint", document(), expected=0, author="ada", reason="begin")
    for expected in (0, 2):
        with pytest.raises(ConflictError, match="got revision 1"):
            ledger.write("tint", document(0.1), expected=expected, author="bob", reason="too late")
    assert len(ledger.history("tint")) == 1


def test_of_writers_at_once_exactly_one_wins(ledger: AllocationLedger) -> None:
    start, won = threading.Barrier(8), []

    def write(share: float) -> None:
        start.wait()
        with contextlib.suppress(ConflictError):
            won.append(ledger.write("tint", document(share), expected=0, author="x", reason="race"))

    threads = [threading.Thread(target=write, args=(k / 10,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert ledger.history("tint") == won


def test_the_newest_document_that_applies_is_in_force(ledger: AllocationLedger) -> None:
    for revision, after in enumerate((0, 60)):
        ledger.write("tint", document(0.1 + revision / 10, after=after), expected=revision, author="a", reason="r")
    found = ledger.history("tint")
    assert in_force(found, NOW - timedelta(seconds=1)) is None
    assert in_force(found, NOW + timedelta(seconds=59)) == document(0.1)
    assert in_force(found, NOW + timedelta(seconds=60)) == document(0.2, after=60)


@pytest.mark.parametrize(
    "weights", [{"control": 0.5, "warm": 0.6}, {"control": 1.5, "warm": -0.5}, {"control": 1.0}, {"A b": 0.5, "c": 0.5}]
)
def test_wrong_weights_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        AllocationDocument(weights=weights, applies_from=NOW)


def test_a_document_that_cannot_be_read_is_named(ledger: AllocationLedger, tmp_path: Path) -> None:
    ledger.write("tint", document(), expected=0, author="ada", reason="begin")
    engine = create_engine(f"sqlite:///{tmp_path}/control.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE allocations SET document = '{\"weights\": 3}'"))
    engine.dispose()
    with pytest.raises(MaskerError, match=r"cannot be read.*revision 1 of tint"):
        ledger.history("tint")
