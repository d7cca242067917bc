from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from identity_masker.serving.routing import (
    CHAMPION,
    Choice,
    Override,
    RoutingTable,
    Variant,
    choose,
    only,
    point,
    shadow,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOTH = {"1", "2"}
users = st.text(max_size=40)


def canary(share: float, lease: datetime | None = None) -> RoutingTable:
    return RoutingTable(
        variants={
            "champion": Variant(version="1", semver="1.0.0", share=1 - share),
            "canary": Variant(version="2", semver="1.1.0", share=share, lease_expires_at=lease),
        }
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"variants": {"champion": {"version": "1", "semver": "1.0.0", "share": 0.9}}}, "sum to 0.9"),
        (
            {"champion": "blue", "variants": {"green": {"version": "1", "semver": "1", "share": 1}}},
            "none of the variants",
        ),
        ({"variants": {}}, "at least 1"),
        ({"variants": {"champion": {"version": "1", "semver": "1", "share": 1.5}}}, "less than or equal to 1"),
        ({"variants": {"champion": {"version": "1", "semver": "1", "share": 1, "x": 1}}}, "Extra inputs"),
        ({"variants": {"Champion!": {"version": "1", "semver": "1", "share": 1}}}, "match pattern"),
        (
            {
                "variants": {
                    "champion": {
                        "version": "1",
                        "semver": "1",
                        "share": 1,
                        "lease_expires_at": "2026-01-01T00:00:00Z",
                    }
                }
            },
            "cannot have a lease",
        ),
    ],
)
def test_an_inconsistent_table_is_refused(document: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RoutingTable.model_validate(document)


def test_a_lease_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Variant(version="1", semver="1", share=0, lease_expires_at=datetime(2026, 1, 1))


def test_the_document_survives_json() -> None:
    table = canary(0.25, NOW)
    assert RoutingTable.model_validate_json(table.model_dump_json()) == table


def test_the_split_is_the_share_within_sampling_error() -> None:
    table = canary(0.1)
    hits = sum(choose(table, f"user-{n}", NOW, BOTH).variant == "canary" for n in range(20_000))
    # Four standard deviations of a binomial with p = 0.1.
    assert abs(hits / 20_000 - 0.1) < 4 * (0.1 * 0.9 / 20_000) ** 0.5


@given(users, st.floats(0, 1), st.floats(0, 1))
def test_users_of_a_growing_share_stay(user: str, a: float, b: float) -> None:
    small, large = sorted((a, b))
    if choose(canary(small), user, NOW, BOTH).variant == "canary":
        assert choose(canary(large), user, NOW, BOTH).variant == "canary"


@given(users)
def test_share_zero_gets_nobody_and_share_one_everybody(user: str) -> None:
    assert choose(canary(0.0), user, NOW, BOTH) == Choice("champion")
    assert choose(canary(1.0), user, NOW, BOTH) == Choice("canary")


@given(users)
def test_another_salt_draws_anew_and_the_same_salt_alike(user: str) -> None:
    assert point("a", user) == point("a", user)
    assert point("a", user) != point("b", user)
    assert 0 <= point("a", user) < 1


def test_the_point_of_a_user_is_fixed_for_all_time() -> None:
    # A change of the hash would move every user: it must be a decision, not an accident.
    assert point("", "alice") == pytest.approx(0.0716225380658384, abs=1e-15)


def test_a_lease_that_has_run_out_gives_the_share_back() -> None:
    table = canary(1.0, lease=NOW)
    assert choose(table, "u", NOW - timedelta(milliseconds=1), BOTH) == Choice("canary")
    assert choose(table, "u", NOW, BOTH) == Choice("champion", "lease")


def test_a_variant_that_nothing_serves_is_replaced_by_the_champion() -> None:
    assert choose(canary(1.0), "u", NOW, {"1"}) == Choice("champion", "no_endpoint")
    assert choose(canary(1.0), "u", NOW, set()) == Choice("champion", "no_endpoint")


def test_testers_get_their_variant_whatever_its_share_is() -> None:
    testers = Override(header="x-try", value="new", variant="canary")
    table = canary(0.0, lease=NOW).model_copy(update={"testers": testers})
    before, asked = NOW - timedelta(seconds=1), {"x-try": "new"}
    assert choose(table, "u", before, BOTH, asked) == Choice("canary", "tester")
    assert choose(table, "u", before, BOTH, {"x-try": "old"}) == Choice("champion")
    assert choose(table, "u", NOW, BOTH, asked) == Choice("champion", "lease")
    assert choose(table, "u", before, {"1"}, asked) == Choice("champion", "no_endpoint")
    with pytest.raises(ValidationError, match="none of the variants"):
        RoutingTable(variants=only("1", "1").variants, testers=testers)


def test_only_one_version() -> None:
    table = only("7", "2.0.0")
    assert table.champion_version == "7"
    assert choose(table, "anybody", NOW, {"7"}) == Choice("champion")


@given(st.floats(0.0, 1.0), st.integers(0, 1000))
def test_a_copy_is_drawn_by_request_and_never_without_a_ready_shadow(mirror: float, number: int) -> None:
    variants = {
        CHAMPION: Variant(version="1", semver="1.0.0", share=1.0),
        "canary": Variant(version="2", semver="1.1.0", share=0.0, mirror=mirror, lease_expires_at=NOW + HOUR),
    }
    table = RoutingTable(variants=variants)
    drawn = shadow(table, f"request-{number}", NOW, {"1", "2"})
    assert drawn == ("canary" if point("\0shadow", f"request-{number}") < mirror else None)
    assert shadow(table, f"request-{number}", NOW, {"1"}) is None
    assert shadow(table, f"request-{number}", NOW + 2 * HOUR, {"1", "2"}) is None


def test_the_champion_is_not_its_own_shadow() -> None:
    with pytest.raises(ValidationError, match="its own shadow"):
        RoutingTable(variants={CHAMPION: Variant(version="1", semver="1.0.0", share=1.0, mirror=0.1)})
