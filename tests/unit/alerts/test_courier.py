from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.unit.alerts.desks import SECRET, alert
from tests.unit.alerts.endpoint import Endpoint, endpoint

from identity_masker.alerts.courier import Courier
from identity_masker.settings import Settings


@pytest.fixture
def receiver() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def settings(home: Path, receiver: Endpoint, **fields: object) -> Settings:
    known = {"home": home, "webhook_url": SecretStr(receiver.url), "webhook_secret": SECRET}
    return Settings(**known | fields)  # type: ignore[arg-type]


def test_the_work_does_not_wait_for_a_channel_and_the_end_does(tmp_path: Path, receiver: Endpoint) -> None:
    receiver.gate.clear()
    with Courier(settings(tmp_path, receiver)) as courier:
        courier.tell([alert("one", severity="critical")])
        courier.tell([alert("two", severity="critical")])
        assert receiver.accepted == []
        receiver.gate.set()
    assert [body["alerts"][0]["title"] for body in receiver.documents()] == ["one", "two"]


@pytest.mark.parametrize("wrong", [{"control_db": "nonsense"}, {"config_dir": Path("/no/such")}])
def test_whatever_is_broken_the_work_goes_on(tmp_path: Path, receiver: Endpoint, wrong: dict[str, object]) -> None:
    with Courier(settings(tmp_path, receiver, **wrong)) as courier:
        courier.tell([alert()])


def test_nothing_told_starts_nothing(tmp_path: Path, receiver: Endpoint) -> None:
    with Courier(settings(tmp_path / "home", receiver)) as courier:
        courier.tell([])
    assert not (tmp_path / "home").exists()
