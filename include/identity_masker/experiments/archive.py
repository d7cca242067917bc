"""Evidence and reports in the store: every evaluation of an experiment can be judged and read again."""

from __future__ import annotations

from identity_masker import artifacts
from identity_masker.errors import NotFoundError
from identity_masker.experiments.evidence import Evidence
from identity_masker.settings import settings

LATEST = "latest"


def uri(experiment: str, name: str, kind: str) -> str:
    """Where a document of an experiment lives."""
    return artifacts.join(settings().store, "experiments", experiment, f"{name}.{kind}")


def save(evidence: Evidence) -> str:
    """Store the evidence under its time, and as the latest; returns its URI."""
    name = evidence.as_of.strftime("%Y%m%dT%H%M%SZ") if evidence.as_of else "untimed"
    document = evidence.model_dump(mode="json")
    place = uri(evidence.experiment, name, "evidence.json")
    artifacts.write_json(place, document)
    artifacts.write_json(uri(evidence.experiment, LATEST, "evidence.json"), document)
    return place


def load(experiment: str, name: str = LATEST) -> Evidence:
    """Stored evidence. Raises `NotFoundError` when the experiment was never evaluated."""
    place = uri(experiment, name, "evidence.json")
    if not artifacts.exists(place):
        raise NotFoundError(
            "there is no stored evidence of this experiment",
            got=experiment,
            fix="run `masker experiments analyze --save`, or pass --exposures and --outcomes",
        )
    return Evidence.model_validate(artifacts.read_json(place))
