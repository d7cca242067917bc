from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.features.places import FeaturePlaces, redis_connection


def test_files_of_an_object_store_are_read_as_copies(tmp_path: Path) -> None:
    assert FeaturePlaces(tmp_path, "file:///store").at_hand("x") == Path("/store/features/tables/x")
    assert FeaturePlaces(tmp_path, "s3://bucket/masker").at_hand("x") == tmp_path / "features" / "x"


def test_each_online_store_has_its_own_note_of_what_it_holds(tmp_path: Path) -> None:
    places = [FeaturePlaces(tmp_path, "s3://b", online) for online in ("", "redis://one/0", "redis://two/0")]
    assert len({each.ends for each in places}) == 3
    assert not any("one" in each.ends for each in places)


@pytest.mark.parametrize(
    ("url", "address", "options"),
    [
        ("redis://cache", "cache:6379", {"db=0"}),
        ("redis://10.0.0.7:7000/3", "10.0.0.7:7000", {"db=3"}),
        ("rediss://:se%2Ccret@cache/1", "cache:6379", {"db=1", "ssl=true", "password=se,cret"}),
        ("redis://reader:word@cache?socket_timeout=1", "cache:6379", {"username=reader", "socket_timeout=1"}),
    ],
)
def test_a_redis_url_is_told_as_feast_reads_it(url: str, address: str, options: set[str]) -> None:
    if "," in "".join(options):
        with pytest.raises(BadInputError, match="comma"):
            redis_connection(url)
        return
    told = redis_connection(url).split(",")
    assert told[0] == address
    assert options <= set(told[1:])


@given(st.text())
def test_what_is_no_redis_url_is_refused_without_telling_it(text: str) -> None:
    with pytest.raises(BadInputError, match="not the URL of a Redis"):
        redis_connection(f"http://{text}")
