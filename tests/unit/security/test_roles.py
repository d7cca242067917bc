from __future__ import annotations

from pathlib import Path

import pytest

from identity_masker.errors import BadInputError, ForbiddenError, NotFoundError
from identity_masker.security.roles import Principal, Roles, load_roles
from identity_masker.serving.gateway_routes import PERMISSIONS
from identity_masker.settings import PROJECT

SHIPPED = PROJECT / "include" / "config" / "roles.yaml"


def who(role: str) -> Principal:
    return Principal("ada", role, "t", 0.0)


def test_a_role_may_what_it_lists_and_what_it_includes() -> None:
    roles = load_roles(SHIPPED)
    roles.require(who("client"), "mask")
    roles.require(who("admin"), "mask")
    roles.require(who("operator"), "release:approve")


@pytest.mark.parametrize(
    ("role", "permission"),
    [("viewer", "mask"), ("client", "release:approve"), ("operator", "tokens:issue"), ("nobody", "mask")],
)
def test_a_role_without_the_permission_is_refused_and_told_which_have_it(role: str, permission: str) -> None:
    with pytest.raises(ForbiddenError, match=r"one of the roles .*admin"):
        load_roles(SHIPPED).require(who(role), permission)


def test_every_permission_that_a_route_asks_for_is_had_by_some_role() -> None:
    had = frozenset().union(*load_roles(SHIPPED).permissions.values())
    assert set(PERMISSIONS.values()) <= had


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"a": {"includes": ["b"]}}, "role a includes b, which is no role"),
        ({"a": {"includes": ["b"]}, "b": {"includes": ["c"]}}, "role b includes c, which is no role"),
        ({"a": {"includes": ["b"]}, "b": {"includes": ["a"]}}, "circle: a > b > a"),
        ({"a": {"may": ["Everything!"]}}, "a.may.0"),
        ({"a": {"can": ["mask"]}}, "a.can"),
        (["a"], "not a mapping"),
    ],
)
def test_roles_that_do_not_fit_together_are_refused(tmp_path: Path, document: object, message: str) -> None:
    import json

    path = tmp_path / "roles.yaml"
    path.write_text(json.dumps(document))
    with pytest.raises(BadInputError, match=message):
        load_roles(path)


def test_files_that_are_missing_or_no_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"roles\.yaml"):
        load_roles(tmp_path / "roles.yaml")
    (tmp_path / "roles.yaml").write_text("{")
    with pytest.raises(BadInputError, match="not YAML"):
        load_roles(tmp_path / "roles.yaml")


def test_an_unknown_role_is_told_which_there_are() -> None:
    with pytest.raises(NotFoundError, match="admin, client, operator"):
        Roles.known(load_roles(SHIPPED), "boss")
