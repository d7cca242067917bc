from __future__ import annotations

import socket

import httpx
import pytest

from identity_masker.errors import BadInputError, ConflictError
from identity_masker.telemetry.exposition import exposed, process_registry


def test_serves_what_the_registry_holds_and_stops_with_the_block() -> None:
    with exposed(process_registry(), "127.0.0.1", 0, variable="-") as url:
        assert "process_start_time_seconds" in httpx.get(url).text
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


def test_a_taken_port_is_a_conflict_that_names_the_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConflictError, match=rf"127\.0\.0\.1:{port}.*MASKER_FLEET_PORT"),
            exposed(process_registry(), "127.0.0.1", port, variable="MASKER_FLEET_PORT"),
        ):
            raise AssertionError("served on a taken port")


def test_an_address_of_another_machine_is_bad_input() -> None:
    with (
        pytest.raises(BadInputError, match=r"192\.0\.2\.1:0"),
        exposed(process_registry(), "192.0.2.1", 0, variable="MASKER_FLEET_PORT"),
    ):
        raise AssertionError("served on a foreign address")
