from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.registry.semver import Lineage, Semver, following

BOTTLENECK = Lineage("factor-bottleneck", "faces-1.0.0")
numbers = st.builds(Semver, *[st.integers(0, 50)] * 3)


def test_the_first_model_is_1_0_0() -> None:
    assert following([], BOTTLENECK) == Semver(1, 0, 0)


@given(numbers)
def test_the_same_data_raise_patch(newest: Semver) -> None:
    assert following([(newest, BOTTLENECK)], BOTTLENECK) == (newest.major, newest.minor, newest.patch + 1)


@given(numbers)
def test_new_data_raise_minor(newest: Semver) -> None:
    assert following([(newest, BOTTLENECK)], Lineage("factor-bottleneck", "faces-1.1.0")) == (
        newest.major,
        newest.minor + 1,
        0,
    )


@given(numbers)
def test_another_architecture_raises_major(newest: Semver) -> None:
    assert following([(newest, BOTTLENECK)], Lineage("pixelate", "faces-1.0.0")) == (newest.major + 1, 0, 0)


@given(numbers)
def test_another_interface_raises_major(newest: Semver) -> None:
    larger = Lineage("factor-bottleneck", "faces-1.0.0", "128 px")
    assert following([(newest, BOTTLENECK)], larger) == (newest.major + 1, 0, 0)


def test_two_kinds_trained_in_turn_do_not_raise_each_others_numbers() -> None:
    known: list[tuple[Semver, Lineage]] = []
    pixelation = Lineage("pixelation", "faces-1.0.0")
    for lineage in (BOTTLENECK, pixelation, BOTTLENECK, pixelation, Lineage("factor-bottleneck", "faces-1.1.0")):
        known.append((following(known, lineage), lineage))
    assert [str(semver) for semver, _ in known] == ["1.0.0", "2.0.0", "1.0.1", "2.0.1", "1.1.0"]


@given(st.lists(numbers, min_size=1, unique=True))
def test_a_new_version_is_above_all_known_ones(known: list[Semver]) -> None:
    assert following([(semver, BOTTLENECK) for semver in known], BOTTLENECK) > max(known)


@given(numbers)
def test_text_and_back(semver: Semver) -> None:
    assert Semver.parse(str(semver)) == semver


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.x", "v1.2.3", "1.2.3-rc1", "1.2.3.4"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"MAJOR\.MINOR\.PATCH"):
        Semver.parse(text)
