"""The whole stack as a user starts it: `masker up` with small sizes, on ports and a home of its own."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from tests.integration.stack_process import Stack, processes_of, running_stack

from identity_masker.stack.home import Home

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack") / "home") as running:
        yield running


def test_the_pipeline_ends_with_versions_figures_and_a_picture(stack: Stack) -> None:
    shown = stack.text()
    assert "failed" not in shown, shown
    for task in ("ingest_faces.ingest", "train_masker.train", "train_masker.evaluate", "deploy_masker.deploy"):
        assert re.search(rf"done\s+{re.escape(task)}", shown), shown
    assert re.search(r"dataset version\s+.*\d+\.\d+\.\d+", shown), shown
    assert re.search(r"model version\s+.*1\.0\.0 \(accepted\)", shown), shown
    with Image.open(stack.config.home / "before-after.png") as sheet:
        assert sheet.size[0] > sheet.size[1]


def test_the_api_masks_a_picture_and_names_the_request(stack: Stack) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "tan").save(buffer, "PNG")
    url = f"http://127.0.0.1:{stack.config.gateway_port}/v1/mask"
    response = httpx.post(url, content=buffer.getvalue(), headers={"content-type": "image/png"})
    assert response.status_code == 200, response.text
    assert response.headers["x-request-id"]
    assert response.headers["x-model-version"]
    with Image.open(io.BytesIO(response.content)) as masked:
        assert masked.size == (64, 64)


def test_airflow_refuses_a_wrong_parameter_with_the_reason(stack: Stack) -> None:
    base = f"http://127.0.0.1:{stack.config.airflow_port}"
    password = Home(stack.config.home).secrets()["airflow_password"]
    token = httpx.post(f"{base}/auth/token", json={"username": "admin", "password": password}).json()["access_token"]
    response = httpx.post(
        f"{base}/api/v2/dags/ingest_faces/dagRuns",
        json={"logical_date": None, "conf": {"images": "many"}},
        headers={"authorization": f"Bearer {token}"},
    )
    assert response.status_code == 400
    assert "many" in response.json()["detail"]


def test_status_reports_every_process_as_running(stack: Stack) -> None:
    done = stack.masker("status", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert report["unhealthy"] == []
    assert all(state.startswith("RUNNING") for state in report["processes"].values()), report


def test_a_second_stack_on_the_same_home_is_refused(stack: Stack) -> None:
    done = stack.masker("up")
    assert done.returncode == 2
    assert "another `masker up` uses this home" in done.stderr


def test_a_second_stack_on_the_same_ports_is_refused_before_it_starts_anything(stack: Stack, tmp_path: Path) -> None:
    other = Stack(stack.process, stack.config, {**stack.environment, "MASKER_HOME": str(tmp_path / "h")}, stack.output)
    done = other.masker("up")
    assert done.returncode == 2
    assert f"{stack.config.gateway_port} (gateway, move it with MASKER_GATEWAY_PORT)" in done.stderr
    assert processes_of(tmp_path / "h") == []


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
def test_the_finished_run_and_the_api_docs_can_be_looked_at(stack: Stack) -> None:
    from playwright.sync_api import sync_playwright

    pictures = Path(os.environ.get("MASKER_SCREENSHOTS", stack.output.parent))
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 800})
        page.goto(f"http://127.0.0.1:{stack.config.gateway_port}/docs")
        page.get_by_text("/v1/mask").first.wait_for()
        page.screenshot(path=pictures / "api-docs.png")
        page.goto(f"http://127.0.0.1:{stack.config.airflow_port}/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", Home(stack.config.home).secrets()["airflow_password"])
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "login" not in url)
        page.goto(f"http://127.0.0.1:{stack.config.airflow_port}/dags/train_masker")
        page.wait_for_selector("text=evaluate")
        page.screenshot(path=pictures / "airflow-run.png")
        browser.close()


def test_ctrl_c_stops_every_process_that_was_started(stack: Stack) -> None:
    """Last in the file: it ends the stack."""
    assert len(processes_of(stack.config.home)) > 6
    os.kill(stack.process.pid, signal.SIGINT)
    assert stack.process.wait(90) == 0, stack.text()
    assert "everything is stopped" in stack.text()
    deadline = time.monotonic() + 10
    while processes_of(stack.config.home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_of(stack.config.home) == []
