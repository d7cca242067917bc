"""`masker token`: tokens and the keys that sign them."""

from __future__ import annotations

import sys
from typing import Any

import click
from pydantic import BaseModel

from identity_masker.cli import step
from identity_masker.cli.authority import authorised, roles, verifying
from identity_masker.errors import UnauthenticatedError
from identity_masker.settings import settings

DAY = 86_400.0
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class Token(BaseModel):
    """A new token."""

    token: str
    token_id: str
    subject: str
    role: str
    expires_at: str


class Inspected(BaseModel):
    """What a token says, once its signature was checked; `reason` says why it is refused."""

    valid: bool
    reason: str = ""
    detail: str = ""
    subject: str = ""
    role: str = ""
    may: list[str] = []
    token_id: str = ""
    expires_at: str = ""


class Revoked(BaseModel):
    """The token that is refused from now on; `already` when it was before."""

    token_id: str
    already: bool


class Rotated(BaseModel):
    """The new key, from when on it signs, and the keys that are no longer published."""

    kid: str
    signs_from: str
    removed: list[str]


class PublicKeys(BaseModel):
    """A JSON Web Key Set."""

    keys: list[dict[str, Any]]


@click.group()
def command() -> None:
    """Tokens for the API, and the keys that sign them (HOME/keys)."""


@command.command()
@click.option("--subject", required=True, help="Who it is for: a person or a program.")
@click.option("--role", required=True, help="A role of include/config/roles.yaml.")
@click.option("--days", type=click.FloatRange(0, 366, min_open=True), default=30.0, show_default=True)
@JSON
def issue(subject: str, role: str, days: float, as_json: bool) -> None:
    """A new token. It is shown once and kept nowhere."""
    from identity_masker.security import tokens
    from identity_masker.security.keys import KeyFolder

    _first_or("tokens:issue")
    found = tokens.issue(KeyFolder(settings().keys_dir), subject, roles().known(role), seconds=days * DAY)
    who = found.principal
    result = Token(
        token=found.token, token_id=who.token_id, subject=subject, role=role, expires_at=_time(who.expires_at)
    )
    # Not recorded as a step's result: a token is kept nowhere.
    click.echo(result.model_dump_json() if as_json else result.token)


@command.command()
@click.argument("token")
@JSON
def inspect(token: str, as_json: bool) -> None:
    """Say whether a token is valid, and what it gives. `-` reads it from standard input."""
    try:
        with verifying() as verifier:
            who = verifier.verify(_given(token))
    except UnauthenticatedError as error:
        step.finish(Inspected(valid=False, reason=error.reason, detail=str(error)), as_json=as_json)
        return
    may = sorted(roles().permissions.get(who.role, ()))
    found = Inspected(
        valid=True, subject=who.subject, role=who.role, may=may, token_id=who.token_id, expires_at=_time(who.expires_at)
    )
    step.finish(found, as_json=as_json)


@command.command()
@click.argument("token")
@click.option("--reason", required=True, help="Why; kept with the revocation.")
@JSON
def revoke(token: str, reason: str, as_json: bool) -> None:
    """Refuse a token (or the token with this id); gateways know within a second. `-` reads standard input."""
    import time

    from identity_masker.security.keys import LONGEST_LIFE
    from identity_masker.serving.control import Control
    from identity_masker.serving.revocations import Revocations

    author, given = authorised("tokens:revoke"), _given(token)
    token_id, expires_at = given, time.time() + LONGEST_LIFE
    if "." in given:
        with verifying() as verifier:
            who = verifier.verify(given)
        token_id, expires_at = who.token_id, who.expires_at
    with Control(settings().control_url) as control:
        new = Revocations(control).add(token_id, expires_at=expires_at, author=author, reason=reason)
    step.finish(Revoked(token_id=token_id, already=not new), as_json=as_json)


@command.command()
@JSON
def rotate(as_json: bool) -> None:
    """A new signing key beside the old one. It signs after five minutes; tokens of the old one stay valid."""
    from identity_masker.security.keys import LEAD, KeyFolder

    authorised("keys:rotate")
    key, removed = KeyFolder(settings().keys_dir).rotate()
    step.finish(Rotated(kid=key.kid, signs_from=_time(key.created + LEAD), removed=removed), as_json=as_json)


@command.command()
@JSON
def jwks(as_json: bool) -> None:
    """The public keys, for verifiers on other machines (MASKER_JWKS)."""
    from identity_masker.security.keys import KeyFolder

    step.finish(PublicKeys.model_validate(KeyFolder(settings().keys_dir).jwks()), as_json=as_json)


def _first_or(permission: str) -> None:
    """The first token of an installation cannot need a token: who may write the folder of keys may make it."""
    if settings().token is not None or any(settings().keys_dir.glob("*.key.json")):
        authorised(permission)


def _given(token: str) -> str:
    return sys.stdin.read().strip() if token == "-" else token  # noqa: S105


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
