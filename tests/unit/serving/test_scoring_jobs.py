from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from identity_masker.serving.scoring_jobs import PAIRS_IN_A_ROW, WAITING_JOBS, Job, ScoringJobs


def job(pictures: int, name: str = "") -> Job:
    return Job(name.encode(), pictures, lambda *_: None)


def drained(jobs: ScoringJobs) -> list[Job]:
    found = []
    while (taken := jobs.get(0.0)) is not None:
        found.append(taken)
    return found


def test_pairs_come_first_whenever_they_were_put() -> None:
    jobs = ScoringJobs()
    assert all(jobs.put(job(pictures)) for pictures in (1, 1, 2, 1, 2))
    assert [each.pictures for each in drained(jobs)] == [2, 2, 1, 1, 1]


def test_single_ones_have_their_turn_however_many_pairs_there_are() -> None:
    jobs = ScoringJobs()
    assert jobs.put(job(1))
    for _ in range(PAIRS_IN_A_ROW + 1):
        assert jobs.put(job(2))
    assert [each.pictures for each in drained(jobs)] == [2] * PAIRS_IN_A_ROW + [1, 2]


def test_single_ones_never_take_the_room_of_pairs() -> None:
    jobs = ScoringJobs()
    assert sum(jobs.put(job(1)) for _ in range(5 * WAITING_JOBS)) == WAITING_JOBS
    assert (jobs.room(1), jobs.room(2)) == (False, True)
    assert sum(jobs.put(job(2)) for _ in range(5 * WAITING_JOBS)) == WAITING_JOBS


@given(st.lists(st.sampled_from((1, 2)), max_size=WAITING_JOBS))
def test_nothing_is_lost_and_each_kind_keeps_its_order(kinds: list[int]) -> None:
    jobs = ScoringJobs()
    put = [job(pictures, str(number)) for number, pictures in enumerate(kinds)]
    assert all(map(jobs.put, put))
    found = drained(jobs)
    for kind in (1, 2):
        assert [each for each in found if each.pictures == kind] == [each for each in put if each.pictures == kind]


def test_nothing_waits_for_nothing() -> None:
    assert ScoringJobs().get(0.01) is None
