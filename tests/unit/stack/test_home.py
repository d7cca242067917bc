from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from identity_masker.errors import BadInputError, ConflictError
from identity_masker.stack.home import Home


def test_prepare_is_idempotent_and_secrets_stay(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    first = home.secrets()
    home.prepare()
    assert home.secrets() == first
    assert stat.S_IMODE((home.root / "secrets.json").stat().st_mode) == 0o600


def test_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(BadInputError, match="files that this project did not make"):
        Home(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_home_of_another_layout_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    (home.root / "home.json").write_text(json.dumps({"layout": 0}))
    with pytest.raises(BadInputError, match=r"another version.*make clean"):
        home.prepare()


def test_file_in_place_of_the_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("x")
    with pytest.raises(BadInputError, match="not a folder"):
        Home(tmp_path / "home").prepare()


def test_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="too long for a socket"):
        Home(tmp_path / ("x" * 120)).prepare()


def test_second_stack_on_one_home_is_refused_while_the_first_holds_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    with home.lock(), pytest.raises(ConflictError, match="another `masker up`"):
        home.lock()
    home.lock().close()


def test_a_home_of_before_gets_the_secrets_that_came_since(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    first = home.secrets()
    path = home.root / "secrets.json"
    path.write_text(json.dumps({"mask_key": first["mask_key"]}))
    second = home.secrets()
    assert second.keys() == first.keys()
    assert second["mask_key"] == first["mask_key"]
    assert home.secrets() == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
