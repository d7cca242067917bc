"""Assignment as the command line shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from identity_masker.errors import BadInputError
from identity_masker.experiments.assignment import assign
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.exposure import propensity


class Placement(BaseModel):
    """Where a unit stands in an experiment."""

    experiment: str
    unit: str
    variant: str
    model: str
    included: bool
    reason: str
    bucket: float | None
    propensity: float | None


class Checked(BaseModel):
    """The experiments of the configuration by name, with their status."""

    experiments: dict[str, str]


def place(experiment: Experiment, unit: str, attributes: Mapping[str, Any], *, as_if_running: bool) -> Placement:
    """The assignment of `unit`; `as_if_running` also for experiments that are not running."""
    design = experiment.model_copy(update={"status": "running"}) if as_if_running else experiment
    found = assign(design.rule, {**attributes, design.unit: unit})
    return Placement(
        experiment=design.name,
        unit=found.unit,
        variant=found.name,
        model=design.variants[found.name].model,
        included=found.included,
        reason=found.reason,
        bucket=found.bucket,
        propensity=propensity(design.rule, found.variant) if found.included else None,
    )


def read_attributes(text: str) -> dict[str, Any]:
    """A JSON object. Raises `BadInputError` for anything else."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInputError("the attributes are not JSON", got=f"{text!r}: {error}") from error
    if not isinstance(found, dict):
        raise BadInputError("the attributes are not an object", got=text, allowed='something like {"device": "phone"}')
    return found
