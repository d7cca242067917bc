"""The connection to the MLflow tracking server: set up once, and refused quickly when nobody answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module

import httpx

# Read by MLflow when it is imported. Its telemetry thread changes os.environ and can crash a concurrent request;
# its defaults retry a server that is away for minutes.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
    "GIT_PYTHON_REFRESH": "quiet",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient, set_tracking_uri  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from identity_masker.errors import NotFoundError, TemporaryError  # noqa: E402
from identity_masker.settings import settings  # noqa: E402

EXPERIMENT = "identity-masker"
PATIENCE_SECONDS = 5.0
COUNTING_IN_FILES = "PROMETHEUS_MULTIPROC_DIR"
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""What MLflow answers for a name that it does not have, or cannot have."""


@lru_cache(maxsize=1)
def client() -> MlflowClient:
    """A client of the tracking server of the settings. Raises `TemporaryError` when it does not answer."""
    uri = settings().tracking_uri
    found = client_of(uri)
    set_tracking_uri(uri)
    return found


def client_of(uri: str) -> MlflowClient:
    """A client of the tracking server at `uri`. Raises `TemporaryError` when it does not answer."""
    if uri.startswith("http"):
        _ask(uri)
        _load_plugins()
    return MlflowClient(uri)


def _ask(uri: str) -> None:
    try:
        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=PATIENCE_SECONDS)
    except httpx.TransportError as error:
        raise TemporaryError(
            "MLflow does not answer", got=f"{uri}: {error}", fix="start it with `make run`, or set MASKER_MLFLOW_URI"
        ) from error
    if answer.is_error:
        raise TemporaryError("MLflow is not healthy", got=f"{uri}/health answered {answer.status_code}")


def _load_plugins() -> None:
    """What MLflow would import with its first request: a plugin of feast, which turns Prometheus's client, here and in
    every process that is started from here, into one that counts in files and forgets no label (feast/metrics.py).
    """
    before = os.environ.get(COUNTING_IN_FILES)
    import_module("prometheus_client")  # decides once, when it is first imported, how it counts
    import_module("mlflow.tracking.request_header.registry")
    if before is None:
        os.environ.pop(COUNTING_IN_FILES, None)


@contextmanager
def calls() -> Iterator[MlflowClient]:
    """A client whose errors come out as the project's own: missing is `NotFoundError`, the rest `TemporaryError`."""
    try:
        yield client()
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            raise NotFoundError("MLflow does not know this", got=error.message) from error
        raise TemporaryError("MLflow refused a call", got=error.message) from error


def experiment_id(name: str = EXPERIMENT) -> str:
    """The id of MLflow's experiment `name`, made when it is not there yet; by default that of all trainings."""
    with calls() as mlflow:
        found = mlflow.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(mlflow.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another run made it meanwhile
                raise
            return str(mlflow.get_experiment_by_name(name).experiment_id)
