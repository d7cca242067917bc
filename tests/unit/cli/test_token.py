from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from identity_masker.settings import PROJECT


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"MASKER_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "MASKER_AUTH": "required"}


def masker(environment: dict[str, str], *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "identity_masker.cli", *words],
        env=environment, input=given, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=120,
    )  # fmt: skip


def issued(environment: dict[str, str], role: str) -> str:
    done = masker(environment, "token", "issue", "--subject", f"{role}-1", "--role", role)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_life_of_a_token(environment: dict[str, str]) -> None:
    admin = issued(environment, "admin")
    environment["MASKER_TOKEN"] = admin
    client = issued(environment, "client")

    found = json.loads(masker(environment, "token", "inspect", "-", "--json", given=client).stdout)
    assert (found["valid"], found["subject"], found["may"]) == (True, "client-1", ["events:write", "mask"])

    done = masker(environment, "token", "revoke", client, "--reason", "lost", "--json")
    assert json.loads(done.stdout) == {"token_id": found["token_id"], "already": False}
    again = masker(environment, "token", "revoke", found["token_id"], "--reason", "lost", "--json")
    assert json.loads(again.stdout)["already"]
    found = json.loads(masker(environment, "token", "inspect", client, "--json").stdout)
    assert (found["valid"], found["reason"]) == (False, "revoked")


def test_commands_ask_for_a_token_with_the_permission(environment: dict[str, str]) -> None:
    viewer = issued(environment, "viewer")
    for token, message in (
        ("", "this command needs a token"),
        (viewer, "the role viewer may not do this"),
        ("nonsense", "this is not a token"),
    ):
        made = {**environment, **({"MASKER_TOKEN": token} if token else {})}
        done = masker(made, "release", "approve")
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert masker(made, "token", "issue", "--subject", "x", "--role", "admin").returncode == 2
    assert not (Path(environment["MASKER_HOME"]) / "results").exists()


def test_a_token_speaks_for_its_owner_alone(environment: dict[str, str]) -> None:
    made = {**environment, "MASKER_TOKEN": issued(environment, "operator")}
    done = masker(made, "release", "approve", "--by", "somebody")
    assert (done.returncode, "speaks for its owner alone" in done.stderr) == (2, True), done.stderr


def test_an_unknown_role_is_refused_and_no_key_is_made(environment: dict[str, str]) -> None:
    done = masker(environment, "token", "issue", "--subject", "x", "--role", "boss")
    assert done.returncode == 2
    assert "admin, client, operator" in done.stderr
