from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from identity_masker.faces.splits import FEWEST, SPLITS, SplitConfig, deal, natural

CONFIG = SplitConfig()
people = st.sets(st.text(min_size=1, max_size=8), max_size=60)


def crowd(count: int, start: int = 0) -> list[str]:
    return [f"person-{number}" for number in range(start, start + count)]


@given(people)
def test_everybody_is_in_exactly_one_split(identities: set[str]) -> None:
    dealt = deal(identities, CONFIG, {})
    assert set(dealt.splits) == identities
    assert set(dealt.splits.values()) <= set(SPLITS)


@given(people)
def test_seven_people_are_enough_for_every_split(identities: set[str]) -> None:
    sizes = Counter(deal(identities, CONFIG, {}).splits.values())
    if len(identities) >= sum(FEWEST.values()):
        assert all(sizes[name] >= fewest for name, fewest in FEWEST.items())
    if len(identities) >= len(SPLITS):
        assert set(sizes) == set(SPLITS)


@given(people, people)
def test_nobody_moves_when_people_come(first: set[str], more: set[str]) -> None:
    before = deal(first, CONFIG, {})
    after = deal(first | more, CONFIG, before.placed)
    assert {person: after.splits[person] for person in first} == before.splits


@given(people, people, people)
def test_nobody_moves_when_the_first_people_come_again(first: set[str], more: set[str], others: set[str]) -> None:
    before = deal(first, CONFIG, {})
    placed = dict(before.placed)
    for crowd_between in (first | more, more, others):
        placed = {**deal(crowd_between, CONFIG, placed).placed, **placed}
    assert deal(first, CONFIG, placed).splits == before.splits


def test_nobody_moves_out_of_a_crowd_so_large_that_its_places_are_not_recorded() -> None:
    before = deal(crowd(1500), CONFIG, {})
    assert before.placed == {}
    assert deal(crowd(1600), CONFIG, before.placed).splits.items() >= before.splits.items()


def test_shares_of_many_people_are_as_configured() -> None:
    sizes = Counter(deal(crowd(20_000), CONFIG, {}).splits.values())
    assert {name: sizes[name] / 20_000 for name in SPLITS} == pytest.approx(CONFIG.shares(), abs=0.01)


def test_large_crowds_are_dealt_by_their_hash_alone() -> None:
    dealt = deal(crowd(2000), CONFIG, {})
    assert dealt.placed == {}
    assert dealt.splits == {person: natural(person, CONFIG) for person in crowd(2000)}


def test_order_of_people_does_not_matter() -> None:
    assert deal(crowd(9), CONFIG, {}) == deal(reversed(crowd(9)), CONFIG, {})


def test_another_salt_deals_anew() -> None:
    other = SplitConfig(salt="other")
    assert deal(crowd(100), CONFIG, {}).splits != deal(crowd(100), other, {}).splits


def test_shares_must_make_one() -> None:
    with pytest.raises(ValidationError, match=r"add up to 1, they add up to 1\.1"):
        SplitConfig(train=0.5)


def strata_of(identities: list[str]) -> dict[str, str]:
    """Every seventh person has a rare label."""
    return {person: "rare" if int(person.rpartition("-")[2]) % 7 == 0 else "common" for person in identities}


@pytest.mark.parametrize("count", [60, 210, 1400])
def test_each_stratum_has_its_share_in_each_split(count: int) -> None:
    strata = strata_of(crowd(count))
    splits = deal(crowd(count), CONFIG, {}, strata).splits
    for stratum in ("rare", "common"):
        sizes = Counter(splits[person] for person, label in strata.items() if label == stratum)
        for name, share in CONFIG.shares().items():
            assert abs(sizes[name] - share * sizes.total()) <= 2, (stratum, name)


def test_stratified_people_stay_where_they_are_when_others_come_and_go() -> None:
    first, more = crowd(40), crowd(100, start=20)
    before = deal(first, CONFIG, {}, strata_of(first))
    after = deal(more, CONFIG, before.placed, strata_of(more))
    stayed = set(first) & set(more)
    assert {person: after.splits[person] for person in stayed} == {person: before.splits[person] for person in stayed}
    placed = {**after.placed, **before.placed}
    assert deal(first, CONFIG, placed, strata_of(first)).splits == before.splits


def test_a_person_whose_label_changes_stays_too() -> None:
    before = deal(crowd(40), CONFIG, {}, strata_of(crowd(40)))
    after = deal(crowd(40), CONFIG, before.placed, dict.fromkeys(crowd(40), "common"))
    assert after.splits == before.splits
