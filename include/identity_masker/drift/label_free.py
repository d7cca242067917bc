"""How good is the model tonight, with few labels or none? An estimate with a band, and what the band rests on."""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict

from identity_masker.errors import BadInputError
from identity_masker.statistics.prediction_powered import calibrated_mean, prediction_powered_mean
from identity_masker.statistics.samples import sample

FEWEST_LABELS, FEWEST_REFERENCE = 20, 100
ASSUMES = {
    "prediction_powered": "the labelled rows are a random draw of the window; nothing of the predictions",
    "calibrated": "outcomes given the prediction are as in the reference: a change of that cannot be seen here",
}


class Performance(BaseModel):
    """The mean outcome (leak, utility, …) of a window with its band."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    low: float
    high: float
    method: Literal["prediction_powered", "calibrated"]
    labels: int
    rows: int
    weight: float | None = None
    assumes: str


def performance(
    predicted: ArrayLike,
    *,
    labels: tuple[ArrayLike, ArrayLike] | None = None,
    reference: tuple[ArrayLike, ArrayLike] | None = None,
    confidence: float = 0.95,
) -> Performance:
    """Mean outcome of a window whose rows have predictions of it and mostly no labels.

    `labels`: predictions and outcomes of the window's labelled rows, which are not among `predicted`; 20 of them or
    more are used. `reference`: the same of the labelled reference, for a window with fewer labels. Raises
    `BadInputError` when neither is enough.
    """
    now = sample(predicted, "the predictions", at_least=2)
    if labels is not None:
        own, outcome = sample(labels[0], "the labelled predictions"), sample(labels[1], "the labels")
        if outcome.size >= FEWEST_LABELS:
            found = prediction_powered_mean(outcome, own, now, confidence)
            return Performance(
                mean=found.mean.value,
                low=found.mean.low,
                high=found.mean.high,
                method="prediction_powered",
                labels=outcome.size,
                rows=now.size + outcome.size,
                weight=found.weight,
                assumes=ASSUMES["prediction_powered"],
            )
    if reference is None or sample(reference[1], "the reference's outcomes").size < FEWEST_REFERENCE:
        raise BadInputError(
            "nothing to estimate the outcome from",
            got="too few labels, and no labelled reference",
            allowed=f"{FEWEST_LABELS} labels, or a reference with {FEWEST_REFERENCE}",
        )
    mean = calibrated_mean(reference[0], reference[1], now, confidence=confidence)
    return Performance(
        mean=mean.value,
        low=mean.low,
        high=mean.high,
        method="calibrated",
        labels=0,
        rows=now.size,
        assumes=ASSUMES["calibrated"],
    )
