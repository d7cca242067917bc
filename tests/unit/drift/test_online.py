from __future__ import annotations

import numpy as np
import pytest

from identity_masker.drift.online import StreamDetector
from identity_masker.errors import BadInputError


def _rows(rng: np.random.Generator, rows: int, columns: int = 3, shift: float = 0.0) -> np.ndarray:
    table = np.exp(rng.normal(size=(rows, columns)) + 0.5 * rng.normal(size=(rows, 1)))
    table[:, 0] *= np.exp(shift)
    return table


def _run(detector: StreamDetector, rows: np.ndarray) -> int:
    """Rows until the alarm."""
    for step, row in enumerate(rows, start=1):
        if detector.update(row).alarm:
            return step
    return len(rows)


def test_mean_run_without_drift_is_the_one_asked_for() -> None:
    rng, runs = np.random.default_rng(0), []
    for seed in range(8):
        detector = StreamDetector.calibrated(_rows(rng, 1_000), 40, smoothing=0.2, seed=seed)
        runs += [_run(detector, _rows(rng, 1_000)) for _ in range(30)]
    # 240 runs: standard error 6.5 %
    assert np.mean(runs) == pytest.approx(40, rel=0.16)


def test_a_shift_is_found_soon_and_its_column_named() -> None:
    rng = np.random.default_rng(1)
    detector = StreamDetector.calibrated(_rows(rng, 2_000), 1_000, smoothing=0.1)
    for row in _rows(rng, 200, shift=1.0):
        reading = detector.update(row)
        if reading.alarm:
            break
    assert reading.alarm
    assert np.argmax(np.abs(reading.columns)) == 0
    assert detector.steps == 0


def test_missing_values_and_values_never_seen_do_no_harm() -> None:
    rng = np.random.default_rng(2)
    reference = _rows(rng, 500)
    reference[:50, 1] = np.nan
    detector = StreamDetector.calibrated(reference, 100, smoothing=0.2)
    quiet = detector.update([np.nan] * 3)
    assert quiet.statistic == pytest.approx(0.0)
    assert np.isfinite(detector.update([1e300, -np.inf, np.inf]).statistic)


def test_a_stored_detector_reads_the_same() -> None:
    rng = np.random.default_rng(3)
    detector = StreamDetector.calibrated(_rows(rng, 300), 50, smoothing=0.2)
    again = StreamDetector.from_bytes(detector.to_bytes())
    row = _rows(rng, 1)[0]
    assert again.update(row).statistic == detector.update(row).statistic
    assert again.threshold == detector.threshold
    with pytest.raises(BadInputError, match="not a stored detector"):
        StreamDetector.from_bytes(b"no")


@pytest.mark.parametrize(
    ("reference", "arguments", "said"),
    [
        (np.zeros((20, 2)), {}, "too few reference rows"),
        (np.zeros((100, 2)), {"run_length": 0.5}, "cannot be calibrated"),
        (np.zeros((100, 2)), {"smoothing": 0.0}, "cannot be calibrated"),
        (np.full((100, 2), np.nan), {}, "no values"),
    ],
)
def test_references_that_cannot_calibrate_are_refused(reference: np.ndarray, arguments: dict, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        StreamDetector.calibrated(reference, **arguments)


def test_a_row_of_other_columns_is_refused() -> None:
    detector = StreamDetector.calibrated(_rows(np.random.default_rng(4), 100), 20, smoothing=0.5)
    with pytest.raises(BadInputError, match="other columns"):
        detector.update([1.0])
