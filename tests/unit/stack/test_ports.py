from __future__ import annotations

import socket

import pytest

from identity_masker.errors import BadInputError
from identity_masker.settings import Settings
from identity_masker.stack import ports


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    numbers = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return numbers


def configured() -> Settings:
    airflow, mlflow, gateway, server, alerts, fleet, exporter, prometheus, node, manager, push = free_ports(11)
    # The triggerer's is the next.
    logs = next(port for port in iter(lambda: free_ports(1)[0], None) if not ports.in_use("127.0.0.1", port + 1))
    return Settings(
        airflow_port=airflow, mlflow_port=mlflow, gateway_port=gateway, server_port=server, airflow_log_port=logs,
        alerts_port=alerts,
        fleet_port=fleet, exporter_port=exporter, prometheus_port=prometheus, node_exporter_port=node,
        alertmanager_port=manager, pushgateway_port=push,
    )  # fmt: skip


def test_free_ports_pass() -> None:
    ports.check(configured())


def test_a_taken_port_is_named_with_the_variable_that_moves_it() -> None:
    config = configured()
    with (
        socket.create_server(("127.0.0.1", config.gateway_port)),
        pytest.raises(BadInputError, match=f"{config.gateway_port} .gateway, move it with MASKER_GATEWAY_PORT"),
    ):
        ports.check(config)


def test_one_port_for_two_services_is_refused() -> None:
    config = configured()
    with pytest.raises(BadInputError, match="two services"):
        ports.check(config.model_copy(update={"mlflow_port": config.airflow_port}))
