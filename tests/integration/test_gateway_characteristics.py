"""What the gateway knows of users, from a feature store, in front of a real HTTP server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_gateway import KEY, PICTURE, World
from tests.integration.test_gateway_events import logged
from tests.unit.serving.support import eventually, running

from identity_masker.serving.exposures import Attributes, Exposure
from identity_masker.serving.routing import only
from identity_masker.serving.units import unit

PROFILES: dict[str, Mapping[str, object]] = {
    unit(KEY, "alice"): {"device": "phone", "plan": "pro", "masking_strength": 0.5},
}


class Setting:
    """A gateway whose feature store and experiments the test plays, and a model server that keeps headers."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.asked: list[Attributes] = []
        self.headers: list[dict[str, str]] = []
        self.stuck = threading.Event()
        self.stuck.set()
        self.world = World(folder, stack, self.assign, self.look_up)

        async def model(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                return
            while (await receive()).get("more_body"):
                pass
            self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
            head = [(b"content-type", b"image/png"), (b"content-length", str(len(PICTURE)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": PICTURE})

        self.world.record("1", "0", stack.enter_context(running(model)))
        self.world.route(only("1", "1.0.1"))
        eventually(f"{self.world.base}/health/ready")

    def look_up(self, who: str) -> Mapping[str, object]:
        self.stuck.wait(10)
        return PROFILES.get(who, {})

    def assign(self, _: str, attributes: Attributes) -> list[Exposure]:
        self.asked.append(attributes)
        return []

    def count(self, outcome: str) -> float | None:
        registry = self.world.gateway.metrics.registry
        return registry.get_sample_value("masker_gateway_characteristics_total", {"outcome": outcome})


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    with contextlib.ExitStack() as stack:
        yield Setting(tmp_path, stack)


def test_experiments_see_what_is_known_and_the_request_has_the_last_word(setting: Setting) -> None:
    setting.world.mask(**{"x-user-id": "alice"})
    setting.world.mask(**{"x-user-id": "alice", "x-user-attributes": '{"device": "tv", "beta": true}'})
    setting.world.mask(**{"x-user-id": "bob"})
    assert setting.asked == [
        {"device": "phone", "plan": "pro", "masking_strength": 0.5},
        {"device": "tv", "plan": "pro", "masking_strength": 0.5, "beta": True},
        {},
    ]


def test_the_model_gets_the_strength_that_the_user_chose_unless_the_request_says_one(setting: Setting) -> None:
    for headers in ({"x-user-id": "alice"}, {"x-user-id": "alice", "x-masking-strength": "0.9"}, {"x-user-id": "bob"}):
        assert setting.world.mask(**headers).status_code == 200
    assert [each.get("x-masking-strength") for each in setting.headers] == ["0.5", "0.9", None]


def test_a_store_that_hangs_delays_nobody_and_fails_nobody(setting: Setting) -> None:
    setting.stuck.clear()
    for n in range(40):
        assert setting.world.mask(**{"x-user-id": f"user-{n}"}).status_code == 200
    setting.stuck.set()
    assert setting.asked == [{}] * 40
    assert setting.count("late") == 5
    assert setting.count("skipped") == 35


def test_the_source_of_a_picture_is_in_its_event(setting: Setting) -> None:
    setting.world.mask(**{"x-source-id": "cam-7.north"})
    setting.world.mask()
    assert [event["source"] for event in logged(setting.world, "requests", 2)] == ["cam-7.north", None]
    assert setting.world.mask(**{"x-source-id": "a b"}).status_code == 422
