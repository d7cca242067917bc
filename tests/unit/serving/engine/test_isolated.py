from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.serving.engine.fragile_host import ABORT, FAIL, HANG, REFUSE
from tests.unit.serving.support import Pixels, noise

from identity_masker.errors import BadInputError, MaskerError, TemporaryError
from identity_masker.serving.engine.isolated import IsolatedMasker
from identity_masker.serving.queueing import Picture
from identity_masker.serving.worker import MaskingFailedError, ModelDiedError, Worker

HOST = (sys.executable, "-m", "tests.unit.serving.engine.fragile_host")
PROJECT = Path(__file__).resolve().parents[4]


def started(folder: Path) -> IsolatedMasker:
    return IsolatedMasker(folder, threads=1, largest=1 << 20, call_seconds=1.0, host=HOST)


@pytest.fixture(scope="module")
def masker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedMasker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        made = started(tmp_path_factory.mktemp("model"))
        yield made
        made.close()


def marked(mark: tuple[int, int, int], seed: int = 0) -> Pixels:
    picture = noise(seed=seed)
    picture[0, 0] = mark
    return picture


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 9), height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_pictures_and_keys_arrive_and_come_back_whole(
    masker: IsolatedMasker, count: int, height: int, width: int, seed: int
) -> None:
    images = np.random.default_rng(seed).integers(7, 256, (count, height, width, 3), dtype=np.uint8)
    assert np.array_equal(masker.mask(images, ["ключ 🗝" * 9] * count), 255 - images)


def test_a_call_that_kills_the_process_is_an_error_and_the_next_one_is_answered_within_a_second(
    masker: IsolatedMasker,
) -> None:
    deaths = masker.deaths
    with pytest.raises(ModelDiedError):
        masker.mask(marked(ABORT)[None], ["k"])
    began = time.monotonic()
    assert np.array_equal(masker.mask(noise()[None], ["k"])[0], 255 - noise())
    assert time.monotonic() - began < 1.0
    assert masker.deaths == deaths + 1
    assert masker.alive


def test_a_process_that_hangs_is_killed(masker: IsolatedMasker) -> None:
    began = time.monotonic()
    with pytest.raises(ModelDiedError):
        masker.mask(marked(HANG)[None], ["k"])
    assert time.monotonic() - began < 10
    assert np.array_equal(masker.mask(noise()[None], ["k"])[0], 255 - noise())


def test_a_process_that_died_while_nobody_called_is_replaced(masker: IsolatedMasker) -> None:
    for _ in range(2):
        os.kill(masker._pid, signal.SIGKILL)
        with pytest.raises(ModelDiedError):
            masker.mask(noise()[None], ["k"])
        assert np.array_equal(masker.mask(noise()[None], ["k"])[0], 255 - noise())


def test_errors_of_the_model_come_back_as_what_they_are_but_unforeseen_ones_without_their_words(
    masker: IsolatedMasker,
) -> None:
    with pytest.raises(BadInputError, match="out of range; got 1 × 1"):
        masker.mask(marked(REFUSE)[None], ["k"])
    with pytest.raises(MaskerError, match="ValueError") as raised:
        masker.mask(marked(FAIL)[None], ["k"])
    assert "secret" not in str(raised.value)


def test_what_is_larger_than_the_memory_for_it_is_an_error_before_anything_is_written(masker: IsolatedMasker) -> None:
    with pytest.raises(MaskerError, match="larger than the memory"):
        masker.mask(np.zeros((1, 1000, 1000, 3), np.uint8), ["k"])


def test_a_picture_that_kills_the_process_fails_alone(masker: IsolatedMasker) -> None:
    async def run() -> list[Pixels | BaseException]:
        worker = Worker(masker, batch=8, observe=lambda _count, _seconds: None, died=lambda: died.append(1))
        pictures = [marked(ABORT) if row == 3 else noise(seed=row) for row in range(6)]
        answers = worker.submit([Picture(each, str(row)) for row, each in enumerate(pictures)])
        try:
            return await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 30)
        finally:
            worker.close()

    died: list[int] = []
    outcomes = asyncio.run(run())
    assert len(died) == 3  # together, alone, and once more alone
    assert [isinstance(outcome, MaskingFailedError) for outcome in outcomes] == [row == 3 for row in range(6)]
    for row in (0, 1, 2, 4, 5):
        assert np.array_equal(outcomes[row], 255 - noise(seed=row))  # type: ignore[arg-type]


def test_a_death_that_no_picture_is_to_blame_for_fails_none(masker: IsolatedMasker) -> None:
    async def run() -> Pixels:
        worker = Worker(masker, batch=8, observe=lambda _count, _seconds: None)
        os.kill(masker._pid, signal.SIGKILL)
        (answer,) = worker.submit([Picture(noise(), "k")])
        try:
            return await asyncio.wait_for(answer, 30)
        finally:
            worker.close()

    assert np.array_equal(asyncio.run(run()), 255 - noise())


def test_a_model_whose_every_process_dies_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(PROJECT)
    masker = started(tmp_path)
    try:
        # What shows that a process masks kills it, too.
        monkeypatch.setattr("identity_masker.serving.engine.isolated.REVIVED", "dies")
        with pytest.raises(ModelDiedError):
            masker.mask(marked(ABORT)[None], ["k"])
        assert not masker.alive
        with pytest.raises(MaskerError, match="restart this server"):
            masker.mask(noise()[None], ["k"])
    finally:
        masker.close()


def test_the_processes_end_with_their_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(PROJECT)
    masker = started(tmp_path)
    child = masker._pid
    masker.close()
    assert masker._process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_model_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(PROJECT)
    with pytest.raises(BadInputError, match="there is no such model"):
        started(tmp_path / "nowhere")
    with pytest.raises(TemporaryError, match="ended while it loaded"):
        started(tmp_path / "breaks")
