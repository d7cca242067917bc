"""The rules of docker/prometheus in Prometheus's own tool: they are valid, and every alert fires when it should."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.monitoring.alert_cases import CASES, Case, Series

from identity_masker.settings import PROJECT, Settings
from identity_masker.stack import prometheus

RULES = sorted((PROJECT / "docker" / "prometheus" / "rules").glob("*.yml"))
AREAS = {"serving", "release", "drift", "experiments", "data", "training", "pipeline", "infrastructure"}
pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs Debian's prometheus")


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> dict[str, dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_all_rules_are_valid() -> None:
    promtool("check", "rules", *map(str, RULES))


@pytest.mark.parametrize("services", [(), ("node-exporter",), ("node-exporter", "alertmanager", "pushgateway")])
def test_the_configuration_of_the_embedded_stack_is_valid(tmp_path: Path, services: tuple[str, ...]) -> None:
    file = prometheus.write(Settings(home=tmp_path), tmp_path, services)
    promtool("check", "config", str(file))
    written = file.read_text()
    for service, job in (("node-exporter", "node"), ("alertmanager", "alertmanager"), ("pushgateway", "pushgateway")):
        assert (f"job_name: {job}" in written) is (service in services)


def test_the_configuration_for_kubernetes_is_valid(tmp_path: Path) -> None:
    """Debian builds Prometheus without the discovery of Kubernetes, so that is left out."""
    token = tmp_path / "token"
    token.write_text("a.b.c")
    text = (PROJECT / "docker" / "prometheus" / "kubernetes.yml").read_text()
    document = yaml.safe_load(text.replace("/etc/prometheus/masker-token", str(token)))
    for job in document["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs")[0]["role"] in {"pod", "service"}
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(document))
    promtool("check", "config", str(file))


def test_every_alert_has_a_case_and_says_how_severe_it_is_and_what_it_is_about() -> None:
    assert CASES.keys() == alerts().keys()
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}, name
        assert rule["labels"]["area"] in AREAS, name
        assert rule["annotations"].keys() == {"summary", "description"}, name


@pytest.mark.parametrize("alert", sorted(CASES))
def test_the_alert_fires_when_it_should_and_only_then(alert: str, tmp_path: Path) -> None:
    case = CASES[alert]
    document = {
        "rule_files": [
            str(path) for path in RULES if path.stem == "recording" or f"alert: {alert}\n" in path.read_text()
        ],
        "evaluation_interval": f"{case.step}m",
        "tests": [_test(alert, case, case.fires, 1), _test(alert, case, case.silent, 0)],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(document))
    promtool("test", "rules", str(file))


def _test(alert: str, case: Case, series: Series, firing: int) -> dict[str, Any]:
    shown = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0 or vector(0)'
    return {
        "interval": f"{case.step}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": shown, "eval_time": f"{case.minutes}m", "exp_samples": [{"labels": "{}", "value": firing}]}
        ],
    }


@pytest.mark.skipif(shutil.which("amtool") is None, reason="needs Debian's prometheus-alertmanager")
def test_the_configuration_of_alertmanager_is_valid_and_every_alert_reaches_the_alerts_service() -> None:
    file = PROJECT / "docker" / "alertmanager" / "alertmanager.yml"
    done = subprocess.run(
        ["amtool", "check-config", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for severity in ("info", "warning", "critical"):
        command = ["amtool", "config", "routes", "test", f"--config.file={file}", f"severity={severity}"]
        assert subprocess.check_output(command, text=True, timeout=60).strip() == "masker"
