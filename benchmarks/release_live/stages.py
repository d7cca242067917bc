"""Where releases are measured: model servers as processes or as pods, behind a gateway on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Literal, Protocol

from tests.cluster.faulty_pods import PACED, PODS, faulty_place
from tests.cluster.serving_stage import Place
from tests.cluster.test_releases import ClusterStage
from tests.integration import light_server
from tests.integration.fleet_processes import SMALL_SERVERS, fleet_thread, free_ports
from tests.integration.test_release import PacedStage, Stage
from tests.integration.test_release_quality import examined_by, until_examined
from tests.integration.test_serving import untrained
from tests.unit.serving.examiners import small_examiner

from identity_masker.serving.gateway import GatewayConfig

Target = Literal["local", "kubernetes"]
Kind = Literal["plain", "paced", "examined", "light"]
"""Paced: each call of the model takes its time. Light: the model costs next to nothing; the gateway is measured."""

LIGHT = "light"
LIGHT_PODS = {
    "command": ("python3", "-S", "/opt/light/light_server.py"),
    "mounts": [{"name": LIGHT, "mount_path": "/opt/light", "config_map": LIGHT}],
}


class Stages(Protocol):
    """Makes a stage in an empty folder; what it is made of ends with the stack."""

    def __call__(self, kind: Kind, folder: Path, stack: ExitStack) -> Stage: ...


class LightStage(Stage):
    def fleet(self, folder: Path, model_dir: Path) -> AbstractContextManager[None]:
        return fleet_thread(self.url, folder / "fleet", free_ports(), SMALL_SERVERS)


@contextmanager
def stages(target: Target, folder: Path) -> Iterator[Stages]:
    """`folder` keeps what all stages share."""
    small_examiner(examiner := _made(folder / "examiner"))
    if target == "local":
        yield _Local(untrained(folder / "model", seed=0), examiner)
        return
    with faulty_place(_made(folder / "place")) as place:
        script = Path(light_server.__file__)
        place.namespace.text_map(LIGHT, {script.name: script.read_text(encoding="utf-8")})
        yield _Pods(place, examiner)


class _Local:
    def __init__(self, model: Path, examiner: Path) -> None:
        self._model, self._examiner = model, examiner

    def __call__(self, kind: Kind, folder: Path, stack: ExitStack) -> Stage:
        scored = examined_by(self._examiner) if kind == "examined" else {}
        config = GatewayConfig(events_dir=folder / "events", **scored)
        made = {"paced": PacedStage, "light": LightStage}.get(kind, Stage)(folder, self._model, stack, config)
        if scored:
            until_examined(made.base)
        return made


class _Pods:
    def __init__(self, place: Place, examiner: Path) -> None:
        self._place, self._examiner = place, examiner

    def __call__(self, kind: Kind, folder: Path, stack: ExitStack) -> Stage:
        stack.enter_context(self._place.emptied())
        scored = examined_by(self._examiner) if kind == "examined" else {}
        pods = {"paced": PACED, "light": LIGHT_PODS}.get(kind, PODS)
        made = ClusterStage(self._place, folder, stack, pods, **scored)
        if scored:
            until_examined(made.base)
        return made


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
