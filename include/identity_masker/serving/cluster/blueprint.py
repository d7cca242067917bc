"""All that decides what the pods of any version look like."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from identity_masker.errors import BadInputError
from identity_masker.serving.cluster import pods
from identity_masker.settings import Settings

HERE = {"localhost", "127.0.0.1", "::1"}
"""To a pod, these mean the pod itself."""


@dataclass(frozen=True)
class Blueprint:
    """pods: serving.yaml; image: the one of it or of the settings; variables: what pods must know of the services."""

    pods: pods.Pods
    image: str
    variables: dict[str, str]


def of(config: Settings) -> Blueprint:
    """The blueprint of the settings.

    Raises `NotFoundError` and `BadInputError` as `pods.read`, and `BadInputError` for an MLflow that pods cannot reach.
    """
    given = pods.read(config.config_dir)
    url = urlsplit(config.tracking_uri)
    if url.scheme not in ("http", "https") or url.hostname in HERE:
        raise BadInputError(
            "pods cannot reach this MLflow",
            got=config.tracking_uri,
            allowed="an http(s) address that means the same inside a pod",
            fix="set MASKER_MLFLOW_URI",
        )
    variables = {"MASKER_MLFLOW_URI": config.tracking_uri, "MASKER_LOG_LEVEL": config.log_level}
    return Blueprint(given, config.serving_image or given.image, variables)
