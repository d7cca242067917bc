"""Prometheus and its node exporter: in the stack where they are installed, and not elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from identity_masker.settings import Settings
from identity_masker.stack import doctor, optional, ports
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
    assert not {"prometheus", "node exporter"} & ports.wanted(config).keys()
    found = {check.name: check for check in doctor.examine(config).checks}
    for program in optional.PROGRAMS:
        assert found[f"program {program}"].state == "off"
        assert f"apt install {program}" in found[f"program {program}"].fix


def test_with_them_both_are_started_on_the_ports_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(tmp_path)
    monkeypatch.setenv("PATH", installed(tmp_path, *optional.PROGRAMS))
    config = Settings(home=home.root, prometheus_port=19_095, node_exporter_port=19_105, token=SecretStr("a.b.c"))
    commands = optional.commands(config, home)
    assert commands.keys() == optional.SERVICES
    assert "--web.listen-address=127.0.0.1:19095" in commands["prometheus"]
    assert "--storage.tsdb.retention.size=512MB" in commands["prometheus"]
    assert "--web.listen-address=127.0.0.1:19105" in commands["node-exporter"]
    assert ports.wanted(config)["prometheus"] == (19_095, "MASKER_PROMETHEUS_PORT")
    written = (home.run / "prometheus.yml").read_text()
    assert "'127.0.0.1:19105'" in written
    assert f"{home.root}/fleet/targets.json" in written
    assert "$" not in written
    token = home.run / "prometheus.token"
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("a.b.c", 0o600)
    assert str(token) in written
