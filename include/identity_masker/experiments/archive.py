"""Evaluations in the store: evidence, design, report and page, so that each can be read and judged again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from identity_masker import artifacts
from identity_masker.errors import NotFoundError
from identity_masker.experiments.evidence import Evidence
from identity_masker.settings import settings

LATEST = "latest"


def uri(experiment: str, name: str, kind: str) -> str:
    """Where a document of an experiment lives."""
    return artifacts.join(settings().store, "experiments", experiment, f"{name}.{kind}")


def name_of(as_of: datetime | None) -> str:
    """The name of the evaluation at `as_of`."""
    return as_of.strftime("%Y%m%dT%H%M%SZ") if as_of else "untimed"


def save(evidence: Evidence, documents: dict[str, bytes] | None = None) -> str:
    """Store the evidence, and `documents` by kind beside it, under its time; returns the evidence's URI.

    They become the latest too, unless those are of a later time: evaluating an old day again leaves today's report.
    """
    name = name_of(evidence.as_of)
    names = [name] if _has_later(evidence) else [name, LATEST]
    for each in names:
        for kind, content in (documents or {}).items():
            artifacts.write_bytes(uri(evidence.experiment, each, kind), content)
        artifacts.write_json(uri(evidence.experiment, each, "evidence.json"), evidence.model_dump(mode="json"))
    return uri(evidence.experiment, name, "evidence.json")


def load(experiment: str, name: str = LATEST) -> Evidence:
    """Stored evidence. Raises `NotFoundError` when the experiment was never evaluated."""
    return Evidence.model_validate(read(experiment, name, "evidence.json"))


def read(experiment: str, name: str, kind: str) -> Any:
    """A stored JSON document. Raises `NotFoundError` when the experiment was never evaluated."""
    place = uri(experiment, name, kind)
    if not artifacts.exists(place):
        raise NotFoundError(
            "there is no stored evidence of this experiment",
            got=f"{experiment}, {name}",
            fix="run `masker experiments run`, or pass --exposures and --outcomes",
        )
    return artifacts.read_json(place)


def _has_later(evidence: Evidence) -> bool:
    if not artifacts.exists(uri(evidence.experiment, LATEST, "evidence.json")):
        return False
    latest = load(evidence.experiment).as_of
    return latest is not None and evidence.as_of is not None and latest > evidence.as_of
