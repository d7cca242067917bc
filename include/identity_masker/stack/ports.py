"""Are the ports free that the stack is about to use?"""

from __future__ import annotations

import socket

from identity_masker.errors import BadInputError
from identity_masker.settings import Settings
from identity_masker.stack import optional


def wanted(config: Settings) -> dict[str, tuple[int, str]]:
    """What listens → (port, the variable that moves it)."""
    return {
        "airflow": (config.airflow_port, "MASKER_AIRFLOW_PORT"),
        "mlflow": (config.mlflow_port, "MASKER_MLFLOW_PORT"),
        "gateway": (config.gateway_port, "MASKER_GATEWAY_PORT"),
        "alerts": (config.alerts_port, "MASKER_ALERTS_PORT"),
        "fleet metrics": (config.fleet_port, "MASKER_FLEET_PORT"),
        "exporter": (config.exporter_port, "MASKER_EXPORTER_PORT"),
        "model server": (config.server_port, "MASKER_SERVER_PORT"),
        "airflow scheduler logs": (config.airflow_log_port, "MASKER_AIRFLOW_LOG_PORT"),
        "airflow triggerer logs": (config.airflow_log_port + 1, "MASKER_AIRFLOW_LOG_PORT"),
        **optional.ports(config),
    }


def in_use(host: str, port: int) -> bool:
    """Whether a listener holds `port`; sockets in TIME_WAIT do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def check(config: Settings) -> None:
    """Raise `BadInputError` that names every port taken and the variable that moves it."""
    ports = wanted(config)
    taken = [
        f"{port} ({name}, move it with {variable})"
        for name, (port, variable) in ports.items()
        if in_use(config.host, port)
    ]
    if taken:
        raise BadInputError(
            "ports are in use",
            got=", ".join(taken),
            allowed="free ports",
            fix="stop what listens there (`make stop` if it is this stack) or set the variables named",
        )
    numbers = [port for port, _ in ports.values()]
    if len(set(numbers)) < len(numbers):
        raise BadInputError("two services have the same port", got=sorted(numbers), fix="set different MASKER_*_PORT")
