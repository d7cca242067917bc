from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import MaskerError
from identity_masker.faces.ledger import Ledger
from identity_masker.faces.prepare import Prepared, Refused

PIXELS = np.zeros((2, 2, 3), dtype=np.uint8)


def face(name: str, content: str, identity: str = "ada") -> Prepared:
    return Prepared(name, identity, PIXELS, content, content, "PNG", 9, 2, 2, None)


@given(st.lists(st.one_of(st.integers(0, 5), st.sampled_from(["empty", "corrupt"])), max_size=40))
def test_the_account_adds_up(outcomes: list[int | str]) -> None:
    ledger = Ledger()
    admitted = 0
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, str):
            ledger.refuse(Refused(f"f{number}", None, outcome, "…"))
        else:
            admitted += ledger.admit(face(f"f{number}", f"content-{outcome}"))
    assert ledger.accepted == admitted == len({o for o in outcomes if isinstance(o, int)})
    assert ledger.inputs == len(outcomes) == admitted + len(ledger.duplicates) + sum(ledger.reasons().values())
    ledger.balance(admitted)
    with pytest.raises(MaskerError, match="does not account for every input"):
        ledger.balance(admitted + 1)


def test_a_duplicate_names_its_original() -> None:
    ledger = Ledger()
    assert [ledger.admit(face("a", "x")), ledger.admit(face("b", "x")), ledger.admit(face("c", "x", "bob"))] == [
        1,
        0,
        0,
    ]
    assert [(d.name, d.duplicate_of, d.duplicate_of_identity) for d in ledger.duplicates] == [
        ("b", "a", "ada"),
        ("c", "a", "ada"),
    ]
    assert ledger.duplicates_across_people() == 1


def test_refused_and_duplicate_inputs_are_listed_in_tables(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.refuse(Refused("bad.png", None, "empty", "the file is empty"))
    ledger.admit(face("a", "x"))
    ledger.admit(face("b", "x"))
    ledger.write(tmp_path)
    assert pq.read_table(tmp_path / "quarantine.parquet").to_pylist() == [
        {"name": "bad.png", "identity": None, "reason": "empty", "detail": "the file is empty"}
    ]
    assert pq.read_table(tmp_path / "duplicates.parquet")["duplicate_of"].to_pylist() == ["a"]
