from __future__ import annotations

import json
from pathlib import Path

import pytest

from identity_masker.cli.main import main
from identity_masker.settings import settings


def test_stdout_holds_one_document_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASKER_HOME", str(tmp_path / "home"))
    # Neither a cluster nor a file that names one.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    settings.cache_clear()
    main(["doctor", "--json"])
    settings.cache_clear()
    names = {check["name"] for check in json.loads(capfd.readouterr().out)["checks"]}
    assert {"python", "kubernetes"} <= names
