"""The scoring process is real, and so is what happens to it."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.masking.small_faces import faces
from tests.unit.serving.examiners import small_examiner

from identity_masker.faces.decode import Limits, decode
from identity_masker.masking.examination import Examiner
from identity_masker.serving import scorer as scoring
from identity_masker.serving.pictures import encode
from identity_masker.serving.quality import Quality
from identity_masker.serving.scorer import LARGEST_JOB, Scorer
from identity_masker.serving.scoring_jobs import WAITING_JOBS

FACES = faces(900, 2, 1).images
CLEAR, OTHER = (encode(face, "PNG") for face in FACES)
PATIENCE = 60.0
Answer = tuple[list[Quality], str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examiner")
    small_examiner(made, steps=20)
    return made


@contextmanager
def scoring_with(source: str, steady: Callable[[], bool] = lambda: True) -> Iterator[Scorer]:
    scorer = Scorer(source, steady=steady)
    try:
        yield scorer
    finally:
        scorer.close()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def score(scorer: Scorer, before: bytes = CLEAR, *after: bytes) -> Answer:
    """What the scorer says of the pictures, by default of one that was not masked."""
    until(lambda: scorer.examiner)
    told: queue.Queue[Answer] = queue.Queue()
    assert scorer.offer(before, after or (CLEAR,), lambda *answer: told.put(answer))
    return told.get(timeout=PATIENCE)


def test_a_score_is_the_examiners(folder: Path) -> None:
    examiner = Examiner(folder)
    before, after = (decode(picture, Limits())[None] for picture in (CLEAR, OTHER))
    with scoring_with(str(folder)) as scorer:
        (same, other), name = score(scorer, CLEAR, CLEAR, OTHER)
        (broken,), _ = score(scorer, CLEAR, b"no picture")
    (expected,) = examiner.examine(before, after)
    assert name == examiner.name
    assert same.leak == 1.0
    assert (other.leak, other.face_found) == (pytest.approx(expected.leak), int(expected.face_found))
    assert broken == Quality()


def test_a_process_that_is_killed_costs_one_score_and_comes_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "RETRY_SECONDS", (0.1,))
    with scoring_with(str(folder)) as scorer:
        until(lambda: scorer.examiner)
        process = scorer._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert score(scorer)[0] == [Quality()]
        assert score(scorer)[0][0].leak == 1.0


def test_a_process_that_hangs_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "RETRY_SECONDS", (0.1,))
    monkeypatch.setattr(scoring, "SCORE_SECONDS", 0.5)
    with scoring_with(str(folder)) as scorer:
        until(lambda: scorer.examiner)
        process = scorer._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        assert score(scorer)[0] == [Quality()]
        monkeypatch.setattr(scoring, "SCORE_SECONDS", PATIENCE)
        assert score(scorer)[0][0].leak == 1.0


def test_what_waits_is_bounded_and_told_at_the_end(folder: Path) -> None:
    told: list[list[Quality]] = []
    hold = threading.Event()

    def then(qualities: list[Quality], _examiner: str) -> None:
        hold.wait(PATIENCE)
        told.append(qualities)

    with scoring_with(str(folder)) as scorer:
        until(lambda: scorer.examiner)
        taken = sum(scorer.offer(CLEAR, (CLEAR,), then) for _ in range(2 * WAITING_JOBS))
        assert WAITING_JOBS <= taken <= WAITING_JOBS + 2
        assert not scorer.offer(CLEAR, (bytes(LARGEST_JOB),), then)
        hold.set()
    assert len(told) == taken
    assert not scorer.offer(CLEAR, (CLEAR,), then)


def test_without_an_examiner_nothing_is_scored(tmp_path: Path) -> None:
    with scoring_with(str(tmp_path)) as scorer:
        until(lambda: scorer._trouble)
        assert "missing" in scorer._trouble
        assert not scorer.offer(CLEAR, (CLEAR,), lambda *_: None)


def test_a_process_that_starts_again_in_a_release_keeps_its_examiner(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "RETRY_SECONDS", (0.1,))
    with scoring_with(str(folder), steady=lambda: False) as scorer:
        before = score(scorer)[1]
        scorer._source = "/somewhere/else"  # what the registry names by now
        process = scorer._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        score(scorer)
        assert score(scorer)[1] == before
