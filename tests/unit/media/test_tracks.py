from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.media.crops import Square
from identity_masker.media.tracks import HOLD_S, LONGEST_GAP_S, Region, follow

RATE = 25.0
HOLD = round(HOLD_S * RATE)


def walk(frames: int, start: float = 100.0, speed: float = 3.0) -> list[list[Square]]:
    return [[Square(start + speed * frame, 80.0, 60.0)] for frame in range(frames)]


def tracks(regions: list[list[Region]]) -> set[int]:
    return {region.track for here in regions for region in here}


def test_a_face_that_moves_is_one_track_along_its_path() -> None:
    regions = follow(walk(40), RATE)
    assert tracks(regions) == {0}
    assert [here[0].origin for here in regions] == ["found"] * 40
    assert np.allclose([here[0].x for here in regions[8:-8]], [100 + 3 * f for f in range(8, 32)], atol=0.1)


@given(st.integers(1, round(LONGEST_GAP_S * RATE) - 1))
def test_a_face_that_is_lost_for_a_moment_stays_covered_where_it_must_be(length: int) -> None:
    found = walk(80)
    for frame in range(30, 30 + length):
        found[frame] = []
    regions = follow(found, RATE)
    assert tracks(regions) == {0}
    assert all(here for here in regions)
    assert all(regions[frame][0].origin == "bridged" for frame in range(30, 30 + length))
    assert all(abs(regions[frame][0].x - (100 + 3 * frame)) < 6 for frame in range(30, 30 + length))


def test_the_ends_of_a_track_are_held() -> None:
    found: list[list[Square]] = [[] for _ in range(60)]
    found[20:40] = walk(20)
    origins = [[region.origin for region in here] for here in follow(found, RATE)]
    assert origins[20 - HOLD : 20] == [["held"]] * HOLD == origins[40 : 40 + HOLD]
    assert not any([*origins[: 20 - HOLD], *origins[40 + HOLD :]])


def test_two_faces_that_pass_each_other_stay_two() -> None:
    found = [[Square(60 + 4 * f, 80, 60), Square(300 - 4 * f, 160, 60)] for f in range(60)]
    regions = follow(found, RATE)
    assert tracks(regions) == {0, 1}
    for track, y in ((0, 80), (1, 160)):
        assert all(abs(region.y - y) < 1 for here in regions for region in here if region.track == track)


def test_a_face_elsewhere_and_one_after_a_long_time_are_other_people() -> None:
    assert len(tracks(follow([*walk(5), *walk(5, start=600.0)], RATE))) == 2
    gap: list[list[Square]] = [[] for _ in range(round(LONGEST_GAP_S * RATE) + 2)]
    assert len(tracks(follow([*walk(5, speed=0.0), *gap, *walk(5, speed=0.0)], RATE))) == 2


def test_trembling_of_the_detector_is_smoothed() -> None:
    random = np.random.default_rng(0)
    found = [[Square(100 + random.normal(0, 3), 80 + random.normal(0, 3), 60)] for _ in range(100)]
    path = np.array([[here[0].x, here[0].y] for here in follow(found, RATE)])
    raw = np.array([[here[0].x, here[0].y] for here in found])
    assert np.abs(np.diff(path, axis=0)).mean() < 0.2 * np.abs(np.diff(raw, axis=0)).mean()


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_videos_without_a_face_have_no_regions(frames: int) -> None:
    assert follow([[]] * frames, RATE) == [[]] * frames
