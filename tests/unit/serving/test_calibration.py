from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.serving.support import NegativeMasker, Pixels, served_model

from identity_masker.errors import MaskerError
from identity_masker.serving.calibration import GAIN, NEAR, calibrate
from identity_masker.serving.queueing import CALL_PIXELS


class Timed(NegativeMasker):
    """Takes, on its own clock, `start` for a call and `slope` for a picture."""

    def __init__(self, start: float, slope: float) -> None:
        super().__init__()
        self.start, self.slope, self.now = start, slope, 0.0

    def mask(self, images: Pixels, keys: Sequence[str]) -> Pixels:
        self.now += self.start + self.slope * len(images)
        return super().mask(images, keys)


def found(masker: Timed, largest: int = 32, fixed: int | None = None) -> int:
    return calibrate(served_model(masker), largest=largest, fixed=fixed, clock=lambda: masker.now).batch


def test_where_batching_gains_less_than_a_tenth_it_is_left() -> None:
    assert found(Timed(start=0.0009, slope=0.01)) == 1


def test_where_it_gains_the_smallest_batch_near_the_best_is_taken() -> None:
    # 1: 7 ms a picture, 8: 3.5, 16: 3.25, 32: 3.125 → 16 is as good as the best, 8 is not.
    assert found(Timed(start=0.004, slope=0.003)) == 16


def test_a_batch_that_somebody_chose_is_kept_and_timed() -> None:
    masker = Timed(start=0.01, slope=0.001)
    result = calibrate(served_model(masker), largest=32, fixed=6, clock=lambda: masker.now)
    assert (result.batch, sorted(result.curve)) == (6, [1, 2, 4, 6])
    assert [call.pixels for call in result.calls()] == [n * masker.size**2 for n in (1, 2, 4, 6)]


@settings(deadline=None)
@given(start=st.floats(0.0, 1.0), slope=st.floats(1e-4, 1.0), largest=st.integers(1, 64))
def test_no_batch_is_much_better_than_the_one_that_is_taken(start: float, slope: float, largest: int) -> None:
    def each(n: int) -> float:
        return start / n + slope

    batch = found(Timed(start, slope), largest)
    assert batch <= largest
    allowed = GAIN if batch == 1 else NEAR
    assert each(batch) <= min(each(n) for n in (1, largest)) * allowed * (1 + 1e-6)


def test_no_larger_call_is_tried_than_the_queue_would_make() -> None:
    masker = Timed(start=0.01, slope=0.001)
    masker.size = 512
    result = calibrate(served_model(masker), largest=32, clock=lambda: masker.now)
    assert max(result.curve) * masker.size**2 == CALL_PIXELS


def test_a_model_that_gives_back_its_input_is_no_model() -> None:
    class Lazy(NegativeMasker):
        def mask(self, images: Pixels, keys: Sequence[str]) -> Pixels:
            return np.array(images)

    with pytest.raises(MaskerError, match="does not mask"):
        calibrate(served_model(Lazy()), largest=4)
