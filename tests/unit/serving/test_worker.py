from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest
from tests.unit.serving.support import NegativeMasker, noise, poisoned

from identity_masker.errors import BadInputError
from identity_masker.serving.queueing import Picture
from identity_masker.serving.worker import MaskingFailedError, Pixels, Worker


def with_worker(masker: NegativeMasker, body: Callable[[Worker], Awaitable[None]], batch: int = 4) -> list[int]:
    """Run `body` with a worker; returns the sizes of the calls."""
    sizes: list[int] = []

    async def run() -> None:
        worker = Worker(masker, batch=batch, observe=lambda count, _seconds: sizes.append(count))
        try:
            await asyncio.wait_for(body(worker), 20)
        finally:
            worker.close()

    asyncio.run(run())
    return sizes


def submit(worker: Worker, pixels: Pixels, key: str, deadline: float = float("inf")) -> asyncio.Future[Pixels]:
    (answer,) = worker.submit([Picture(pixels, key)], deadline)
    return answer


def test_pictures_that_wait_are_masked_together_and_each_gets_its_own() -> None:
    masker = NegativeMasker()
    pictures = [noise(seed=n) for n in range(9)]

    async def body(worker: Worker) -> None:
        masker.gate.clear()
        jobs = [submit(worker, picture, str(n)) for n, picture in enumerate(pictures)]
        await asyncio.sleep(0.05)
        masker.gate.set()
        for job, picture in zip(jobs, pictures, strict=True):
            assert np.array_equal(await job, 255 - picture)

    sizes = with_worker(masker, body)
    assert sum(sizes) == 9
    assert max(sizes) == 4
    assert [key for call in masker.calls for key in call] == [str(n) for n in range(9)]


class Abroad(NegativeMasker):
    """Computes elsewhere: in the middle of each call but the first it waits for the answers of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.handed = threading.Event()

    def mask_while(self, images: Pixels, keys: Sequence[str], meanwhile: Callable[[], None]) -> Pixels:
        meanwhile()
        assert not self.calls or self.handed.wait(5), "the answers of the last call are kept until this one ends"
        return self.mask(images, keys)


def test_answers_are_handed_over_while_the_next_call_computes_and_the_last_ones_at_once() -> None:
    masker = Abroad()

    async def body(worker: Worker) -> None:
        first, second = submit(worker, noise(16), "1"), submit(worker, noise(32), "2")
        await first
        masker.handed.set()
        await second

    assert with_worker(masker, body) == [1, 1]


def test_pictures_of_other_sizes_are_not_put_together() -> None:
    async def body(worker: Worker) -> None:
        jobs = [submit(worker, noise(side), "k") for side in (16, 32, 32, 16)]
        assert [job.shape[0] for job in await asyncio.gather(*jobs)] == [16, 32, 32, 16]

    with_worker(NegativeMasker(), body)


def test_large_pictures_are_masked_one_by_one() -> None:
    async def body(worker: Worker) -> None:
        await asyncio.gather(*(submit(worker, noise(800, seed=n), "k") for n in range(3)))

    assert with_worker(NegativeMasker(), body) == [1, 1, 1]


def test_one_poisoned_picture_fails_alone() -> None:
    masker = NegativeMasker()

    async def body(worker: Worker) -> None:
        masker.gate.clear()
        first = submit(worker, noise(), "first")  # occupies the model while the others queue up
        jobs = [submit(worker, poisoned() if n == 2 else noise(seed=n), str(n)) for n in range(4)]
        await asyncio.sleep(0.05)
        masker.gate.set()
        outcomes: list[Pixels | BaseException] = await asyncio.gather(first, *jobs, return_exceptions=True)
        kinds = [isinstance(outcome, MaskingFailedError) for outcome in outcomes]
        assert kinds == [False, False, False, True, False]

    with_worker(masker, body)


def test_a_picture_whose_client_left_never_reaches_the_model() -> None:
    masker = NegativeMasker()

    async def body(worker: Worker) -> None:
        masker.gate.clear()
        first = submit(worker, noise(), "first")
        await asyncio.sleep(0.05)
        left = submit(worker, noise(), "left")
        last = submit(worker, noise(), "last")
        left.cancel()
        masker.gate.set()
        await asyncio.gather(first, last)

    with_worker(masker, body)
    assert masker.calls == [["first"], ["last"]]


def test_a_model_that_gives_back_its_input_is_refused() -> None:
    class Lazy(NegativeMasker):
        def mask(self, images: Pixels, keys: object) -> Pixels:
            return images.copy()

    async def body(worker: Worker) -> None:
        with pytest.raises(MaskingFailedError, match="unchanged"):
            await submit(worker, noise(), "k")

    with_worker(Lazy(), body)


def test_a_model_that_gives_another_form_is_refused() -> None:
    class Cropper(NegativeMasker):
        def mask(self, images: Pixels, keys: object) -> Pixels:
            return images[:, 1:]

    async def body(worker: Worker) -> None:
        with pytest.raises(MaskingFailedError):
            await submit(worker, noise(), "k")

    with_worker(Cropper(), body)


def test_what_the_model_calls_bad_input_stays_bad_input() -> None:
    class Picky(NegativeMasker):
        def mask(self, images: Pixels, keys: object) -> Pixels:
            raise BadInputError("the sides are out of range")

    async def body(worker: Worker) -> None:
        with pytest.raises(BadInputError, match="out of range"):
            await submit(worker, noise(), "k")
        assert worker.alive

    with_worker(Picky(), body)


def test_a_closed_worker_takes_nothing_more_and_ends() -> None:
    async def body(worker: Worker) -> None:
        done = submit(worker, noise(), "k")
        worker.close()
        await done
        with pytest.raises(MaskingFailedError, match="stopping"):
            submit(worker, noise(), "k")
        while worker.alive:
            await asyncio.sleep(0.01)

    with_worker(NegativeMasker(), body)


def test_the_end_of_the_call_under_way_can_be_waited_for() -> None:
    async def body(worker: Worker) -> None:
        done = submit(worker, noise(), "k")
        worker.close()
        worker.join(10)
        assert not worker.alive
        await done

    with_worker(NegativeMasker(), body)
