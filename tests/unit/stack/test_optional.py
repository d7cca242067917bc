"""Prometheus and what belongs to it: in the stack where they are installed, and not elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from identity_masker.settings import Settings
from identity_masker.stack import alertmanager, doctor, optional, ports
from identity_masker.stack.home import Home


def installed(folder: Path, *programs: str) -> str:
    """A PATH with these programs alone."""
    for program in programs:
        file = folder / program
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    return str(folder)


def home_of(folder: Path) -> Home:
    home = Home(folder / "home")
    home.prepare()
    return home


def test_without_the_programs_nothing_is_started_no_port_is_asked_for_and_the_doctor_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(tmp_path)
    monkeypatch.setenv("PATH", installed(tmp_path))
    config = Settings(home=home.root)
    assert optional.commands(config, home) == {}
    assert not optional.PROGRAMS.keys() & ports.wanted(config).keys()
    assert optional.variables(config) == {}
    found = {check.name: check for check in doctor.examine(config).checks}
    for program in optional.PROGRAMS.values():
        assert found[f"program {program}"].state == "off"
        assert f"apt install {program}" in found[f"program {program}"].fix


def test_with_them_all_are_started_on_the_ports_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(tmp_path)
    monkeypatch.setenv("PATH", installed(tmp_path, *optional.PROGRAMS.values()))
    config = Settings(
        home=home.root,
        prometheus_port=19_095,
        node_exporter_port=19_105,
        alertmanager_port=19_096,
        pushgateway_port=19_097,
        token=SecretStr("a.b.c"),
    )
    commands = optional.commands(config, home)
    assert commands.keys() == optional.PROGRAMS.keys()
    assert "--web.listen-address=127.0.0.1:19095" in commands["prometheus"]
    assert "--storage.tsdb.retention.size=512MB" in commands["prometheus"]
    assert "--web.listen-address=127.0.0.1:19105" in commands["node-exporter"]
    assert "--web.listen-address=127.0.0.1:19096" in commands["alertmanager"]
    assert "--web.listen-address=127.0.0.1:19097" in commands["pushgateway"]
    assert optional.variables(config) == {"MASKER_PUSHGATEWAY_URL": "http://127.0.0.1:19097"}
    assert optional.variables(config.model_copy(update={"pushgateway_url": "http://other"})) == {}
    assert ports.wanted(config)["prometheus"] == (19_095, "MASKER_PROMETHEUS_PORT")
    written = (home.run / "prometheus.yml").read_text()
    assert "'127.0.0.1:19105'" in written
    assert yaml.safe_load(written)["alerting"] == {
        "alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:19096"]}]}]
    }
    assert f"{home.root}/fleet/targets.json" in written
    assert "$" not in written
    token = home.run / "prometheus.token"
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("a.b.c", 0o600)
    assert str(token) in written


def test_prometheus_without_alertmanager_hands_its_alerts_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(tmp_path)
    monkeypatch.setenv("PATH", installed(tmp_path, optional.PROMETHEUS))
    assert optional.commands(Settings(home=home.root), home).keys() == {"prometheus"}
    written = yaml.safe_load((home.run / "prometheus.yml").read_text())
    assert "alerting" not in written
    assert not {"node", "alertmanager", "pushgateway"} & {job["job_name"] for job in written["scrape_configs"]}


@pytest.mark.parametrize("token", [None, "a-token-of-this-test"])
def test_alertmanager_hands_alerts_to_the_alerts_service_of_the_stack(tmp_path: Path, token: str | None) -> None:
    config = Settings(host="::1", alerts_port=18_020, alerts_token=token and SecretStr(token))
    written = yaml.safe_load(alertmanager.write(config, tmp_path).read_text())
    (webhook,) = written["receivers"][0]["webhook_configs"]
    assert (webhook["url"], webhook["send_resolved"]) == ("http://[::1]:18020/v1/alertmanager", True)
    kept = Path(webhook["http_config"]["authorization"]["credentials_file"])
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (token or "none", 0o600)
    assert written["route"] == yaml.safe_load(alertmanager.SOURCE.read_text())["route"]


@pytest.mark.skipif(shutil.which("amtool") is None, reason="needs Debian's prometheus-alertmanager")
def test_alertmanager_takes_what_is_written_for_it(tmp_path: Path) -> None:
    file = alertmanager.write(Settings(host="127.0.0.1"), tmp_path)
    done = subprocess.run(["amtool", "check-config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
