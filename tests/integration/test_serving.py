"""`masker serve` as a process, with the real architecture and weights that nobody trained."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from tests.unit.serving.support import eventually

from identity_masker.faces.decode import Limits, decode
from identity_masker.serving.pictures import encode
from identity_masker.serving.smoke import picture

PROJECT = Path(__file__).resolve().parents[2]
PNG = {"content-type": "image/png"}
FACE = encode(picture(), "PNG")


class Place(NamedTuple):
    """Where the processes of a test live."""

    folder: Path
    environment: dict[str, str]

    def masker(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "identity_masker.cli", *words],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASKER_")}
    return Place(tmp_path, {**environment, "MASKER_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"), seed=0, graphs=True)


def untrained(folder: Path, seed: int, *, graphs: bool = False) -> Path:
    """The artifact of a masker with random weights, with the graphs that a trained one has if wanted."""
    import torch

    from identity_masker.masking import artifact
    from identity_masker.masking.config import ArchitectureConfig
    from identity_masker.masking.masker import FactorBottleneckMasker
    from identity_masker.masking.networks import FactorReader

    torch.manual_seed(seed)
    config = ArchitectureConfig()
    masker = FactorBottleneckMasker(config, FactorReader(config), "secret" * 8)
    artifact.save(masker, folder)
    if graphs:
        artifact.export(masker, folder)
    return folder


@pytest.fixture
def server(place: Place, model_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "identity_masker.cli", "serve", "--model-dir", str(model_dir), "--port", "0"]
    with subprocess.Popen(
        [*command, "--json", "--drain-seconds", "4"],
        cwd=PROJECT,
        env=place.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


def test_it_masks_and_on_sigterm_finishes_what_it_took(server: tuple[subprocess.Popen[str], str]) -> None:
    process, url = server
    eventually(f"{url}/health/ready", seconds=90)

    with httpx.Client(base_url=url, timeout=30) as http, ThreadPoolExecutor(24) as pool:

        def post(key: str) -> httpx.Response:
            return http.post("/v1/mask", params={"key": key}, content=FACE, headers=PNG)

        same, again, other = post("a"), post("a"), post("b")
        assert [answer.status_code for answer in (same, again, other)] == [200] * 3
        assert same.content == again.content
        assert same.content != other.content
        assert decode(same.content, Limits()).shape == picture().shape
        assert not np.array_equal(decode(same.content, Limits()), picture())

        running = [pool.submit(post, str(n)) for n in range(24)]
        process.send_signal(signal.SIGTERM)
        refused = http.get("/health/ready")  # the listener stays open while it drains
        assert (refused.status_code, refused.json()["reason"]) == (503, "not_ready_draining")
        assert [future.result().status_code for future in running] == [200] * 24
    assert process.wait(15) == 0


def model_children(pid: int) -> list[int]:
    """The processes that compute: children of the child that loaded the model."""
    hosts = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for host in hosts for each in Path(f"/proc/{host}/task/{host}/children").read_text().split()]


def test_the_death_of_the_model_under_load_fails_no_request(server: tuple[subprocess.Popen[str], str]) -> None:
    process, url = server
    eventually(f"{url}/health/ready", seconds=90)

    def post(key: str) -> int:
        return httpx.post(f"{url}/v1/mask", params={"key": key}, content=FACE, headers=PNG, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(post, str(n)) for n in range(48)]
        for done in (8, 24):
            wait(running[:done])
            for child in model_children(process.pid):
                os.kill(child, signal.SIGKILL)
        assert [future.result() for future in running] == [200] * 48
    assert httpx.get(f"{url}/health/live").status_code == 200


def test_on_sighup_it_changes_to_the_new_model_and_drops_no_request(place: Place, model_dir: Path) -> None:
    current = place.folder / "current"
    shutil.copytree(model_dir, current)
    command = [sys.executable, "-m", "identity_masker.cli", "serve", "--model-dir", str(current), "--port", "0"]
    with subprocess.Popen(
        [*command, "--json"], cwd=PROJECT, env=place.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        try:
            first = eventually(f"{url}/health/ready", seconds=90).json()["model_version"]
            other = untrained(place.folder / "other", seed=1, graphs=True)
            shutil.copytree(other, current, dirs_exist_ok=True)
            process.send_signal(signal.SIGHUP)
            versions = [first]
            deadline = time.monotonic() + 90
            while versions[-1] == first and time.monotonic() < deadline:
                answer = httpx.post(f"{url}/v1/mask", content=FACE, headers=PNG, timeout=60)
                assert answer.status_code == 200
                versions.append(answer.headers["x-model-version"])
            assert len(set(versions)) == 2
            assert httpx.get(f"{url}/health/ready").json()["model_version"] == versions[-1]
        finally:
            process.kill()


def test_a_port_that_is_taken_is_named(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = place.masker("serve", "--port", str(port))
    assert ended.returncode == 2
    assert f"port {port} is taken" in ended.stderr
    assert "MASKER_SERVER_PORT" in ended.stderr


def test_a_model_that_cannot_be_loaded_ends_the_server_with_its_reason(place: Place, model_dir: Path) -> None:
    broken, report = place.folder / "broken", place.folder / "report.json"
    broken.mkdir()
    (broken / "model.json").write_bytes((model_dir / "model.json").read_bytes())
    (broken / "weights.safetensors").write_bytes(b"not the weights")
    ended = place.masker("serve", "--model-dir", str(broken), "--port", "0", "--report", str(report))
    assert ended.returncode == 2
    assert "weights are not the ones that were saved" in ended.stderr
    assert json.loads(report.read_text())["final"] is True


def test_pictures_are_masked_from_the_command_line(place: Place, model_dir: Path) -> None:
    (place.folder / "face.png").write_bytes(FACE)
    (place.folder / "broken.png").write_bytes(FACE[:100])
    ended = place.masker(
        "mask",
        str(place.folder / "face.png"),
        str(place.folder / "broken.png"),
        "--output",
        str(place.folder / "out"),
        "--model-dir",
        str(model_dir),
        "--json",
    )
    assert ended.returncode == 2
    document = json.loads(ended.stdout)
    assert [Path(row["output"]).name for row in document["masked"]] == ["face.png"]
    assert [row["reason"] for row in document["failed"]] == ["truncated"]
    assert "broken.png was not masked" in ended.stderr
    masked = decode((place.folder / "out" / "face.png").read_bytes(), Limits())
    assert masked.shape == picture().shape
    assert not np.array_equal(masked, picture())


def test_an_input_is_not_overwritten_by_the_command(place: Place, model_dir: Path) -> None:
    face = place.folder / "face.png"
    face.write_bytes(FACE)
    ended = place.masker("mask", str(face), "--output", str(face), "--model-dir", str(model_dir))
    assert (ended.returncode, face.read_bytes()) == (2, FACE)
    assert "overwrite" in ended.stderr
