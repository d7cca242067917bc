"""Who runs this command, and whether they may."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.security.roles import Roles
    from identity_masker.security.tokens import Verifier
    from identity_masker.serving.guard import Guard

LONGEST_NAME = 120


def authorised(permission: str, by: str | None = None) -> str:
    """The name under which the command is recorded: `by`, or whoever runs it.

    A task of Airflow is who it is: Airflow has let its starter start it. Anybody else shows a token (MASKER_TOKEN)
    where one is required. Raises `UnauthenticatedError` without a valid one, `ForbiddenError` without the permission.
    """
    config = settings()
    if config.step.known or not config.auth_required:
        return (by or (config.step.key() if config.step.known else getpass.getuser()))[:LONGEST_NAME]
    from identity_masker.errors import ForbiddenError, UnauthenticatedError

    if config.token is None:
        raise UnauthenticatedError(
            "missing", "this command needs a token", allowed=f"a role with {permission}", fix="set MASKER_TOKEN"
        )
    with verifying() as verifier:
        principal = verifier.verify(config.token.get_secret_value())
    roles().require(principal, permission)
    if by not in (None, principal.subject):
        raise ForbiddenError("a token speaks for its owner alone", got=by, allowed=principal.subject, fix="omit --by")
    return principal.subject[:LONGEST_NAME]


def roles() -> Roles:
    """The roles of the configuration folder."""
    from identity_masker.security.roles import load_roles

    return load_roles(settings().config_dir / "roles.yaml")


@contextmanager
def verifying() -> Iterator[Verifier]:
    """Verifies tokens by the published keys and the revocations in the control database."""
    from identity_masker.security.jwks import Published
    from identity_masker.security.tokens import Verifier
    from identity_masker.serving.control import Control
    from identity_masker.serving.revocations import Revocations

    with Control(settings().control_url) as control:
        yield Verifier(Published(settings().public_keys), revoked=Revocations(control))


def credentials(name: str) -> Callable[[], str | None]:
    """The token that the service `name` shows to others: made by this machine's signing keys, else MASKER_TOKEN."""
    config = settings()
    if not config.auth_required:
        return lambda: None
    from identity_masker.security.keys import KeyFolder
    from identity_masker.security.service import ServiceToken

    given = config.token.get_secret_value() if config.token else None
    return ServiceToken(name, None if config.jwks else KeyFolder(config.keys_dir), given)


@contextmanager
def guarded(permissions: Mapping[str, str]) -> Iterator[Guard | None]:
    """The guard of a service whose routes need `permissions`; None where no token is required."""
    from identity_masker.serving.guard import Guard

    if not settings().auth_required:
        yield None
        return
    with verifying() as verifier:
        yield Guard(verifier, roles(), permissions)


def server_guard() -> Guard | None:
    """The guard of a model server. It knows no revocations: the tokens of services live for minutes, and it has no
    database."""
    if not settings().auth_required:
        return None
    from identity_masker.security.jwks import Published
    from identity_masker.security.tokens import Verifier
    from identity_masker.serving.guard import SERVER_PERMISSIONS, Guard

    return Guard(Verifier(Published(settings().public_keys)), roles(), SERVER_PERMISSIONS)
