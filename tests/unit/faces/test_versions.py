from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.versions import (
    Change,
    Changelog,
    Counts,
    Reference,
    Tracked,
    VersionRecord,
    VersionStore,
    next_semver,
    order,
    parse,
)

numbers = st.tuples(*[st.integers(0, 99)] * 3)


def record(semver: str, **given_: Any) -> VersionRecord:
    counts = Counts(
        inputs=1, accepted=1, quarantined=0, duplicates=0, duplicates_across_people=0, reasons={}, people=1,
        split_images={}, split_people={},
    )  # fmt: skip
    change = Changelog(parent=None, change="first", images_added=1, images_removed=0, people_added=1, people_removed=0)
    fields = {
        "name": "rendered", "semver": semver, "snapshot": "0" * 64, "schema_version": 1, "size": 64, "origin": "here",
        "fingerprint": None, "config": {}, "counts": counts, "placed": {}, "dvc": Tracked(md5="x", size=1, nfiles=1),
        "files": {}, "account_uri": "u", "created_at": datetime(2026, 1, 1, tzinfo=UTC), "changelog": change,
    }  # fmt: skip
    return VersionRecord.model_validate({**fields, **given_})


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(f"file://{tmp_path}")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("latest", Reference("rendered", None)),
        ("1.2.0", Reference("rendered", "1.2.0")),
        ("folder-latest", Reference("folder", None)),
        ("my-own-faces-10.0.3", Reference("my-own-faces", "10.0.3")),
    ],
)
def test_references_are_parsed(reference: str, expected: Reference) -> None:
    assert parse(reference) == expected


@pytest.mark.parametrize(
    "reference", ["", "1.2", "v1.2.0", "01.2.0", "rendered", "../x-1.0.0", "Folder-1.0.0", "newest"]
)
def test_other_texts_are_not_versions(reference: str) -> None:
    with pytest.raises(BadInputError, match="not a dataset version"):
        parse(reference)


@given(numbers, st.sampled_from(["major", "minor", "patch"]))
def test_the_next_number_is_above(number: tuple[int, int, int], change: Change) -> None:
    assert order(next_semver(".".join(map(str, number)), change)) > number


@pytest.mark.parametrize(
    ("latest", "change", "expected"),
    [(None, "first", "1.0.0"), ("1.2.3", "major", "2.0.0"), ("1.2.3", "minor", "1.3.0"), ("1.2.3", "patch", "1.2.4")],
)
def test_numbers_follow_the_kind_of_change(latest: str | None, change: Change, expected: str) -> None:
    assert next_semver(latest, change) == expected


def test_versions_are_ordered_by_number_not_by_text(store: VersionStore) -> None:
    for semver in ("1.10.0", "1.9.0", "1.2.0"):
        assert store.create(record(semver))
    assert store.semvers("rendered") == ["1.2.0", "1.9.0", "1.10.0"]
    assert store.newest("latest") == "rendered-1.10.0"


def test_of_many_writers_one_gets_the_number(store: VersionStore) -> None:
    drafts = [record("1.0.0", snapshot=f"{writer:064d}") for writer in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(store.create, drafts))
    assert won.count(True) == 1
    assert store.record("rendered-1.0.0") == drafts[won.index(True)]


def test_latest_is_the_newest_that_passed(store: VersionStore) -> None:
    for semver, ok in (("1.0.0", True), ("1.1.0", True), ("1.2.0", False), ("1.3.0", None)):
        store.create(record(semver))
        if ok is not None:
            store.set_validation("rendered", semver, {"ok": ok})
    assert store.record("latest").semver == "1.1.0"
    states = [store.state("rendered", semver) for semver in store.semvers("rendered")]
    assert states == ["validated", "validated", "failed", "pending"]


def test_an_unknown_version_names_the_known_ones(store: VersionStore) -> None:
    store.create(record("1.0.0"))
    with pytest.raises(NotFoundError, match=r"got 2\.0\.0; expected one of \['rendered-1\.0\.0'\]"):
        store.record("2.0.0")
    with pytest.raises(NotFoundError, match=r"masker data validate --dataset rendered-1\.0\.0"):
        store.record("latest")
    with pytest.raises(NotFoundError, match=r"masker data ingest.*there are versions of \['rendered'\]"):
        store.record("folder-latest")
