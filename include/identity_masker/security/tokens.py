"""Tokens: JSON Web Tokens (RFC 7519) signed with Ed25519, issued here and verified by whoever has the public keys."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jwt

from identity_masker.errors import BadInputError, UnauthenticatedError
from identity_masker.security.keys import LONGEST_LIFE, SKEW, KeyFolder
from identity_masker.security.roles import Principal

ISSUER = "identity-masker"
AUDIENCE = "identity-masker"
ALGORITHM = "EdDSA"
REQUIRED = ["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "role"]
RENEW = "get a new token (`masker token issue`)"


class Issued(NamedTuple):
    """A new token and what it says."""

    token: str
    principal: Principal


class PublicKeys(Protocol):
    """Where a verifier finds public keys."""

    def find(self, kid: str) -> Mapping[str, Any] | None:
        """The key as a JSON Web Key, or None. Raises `TemporaryError` when the keys cannot be read."""
        ...


def issue(
    keys: KeyFolder, subject: str, role: str, *, seconds: float, audience: str = AUDIENCE, now: float | None = None
) -> Issued:
    """A token for `subject` with `role`, valid for `seconds` (up to 366 days).

    Raises `BadInputError` for a life that is not positive or too long.
    """
    if not 0.0 < seconds <= LONGEST_LIFE:
        raise BadInputError(
            "a token cannot live so long", got=f"{seconds:g} s", allowed=f"more than 0, at most {LONGEST_LIFE:g} s"
        )
    began = time.time() if now is None else now
    principal = Principal(subject, role, uuid.uuid4().hex, began + seconds)
    key = keys.signing()
    claims = {
        "iss": ISSUER, "aud": audience, "sub": subject, "role": role, "jti": principal.token_id,
        "iat": int(began), "nbf": int(began), "exp": int(principal.expires_at),
    }  # fmt: skip
    return Issued(jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid}), principal)


class Verifier:
    """Tells who sent a token."""

    def __init__(
        self, keys: PublicKeys, *, audience: str = AUDIENCE, revoked: Callable[[str], bool] = lambda _token_id: False
    ) -> None:
        """`revoked(token_id)` says whether a token that is otherwise valid was taken back."""
        self._keys = keys
        self._audience = audience
        self._revoked = revoked

    def verify(self, token: str) -> Principal:
        """Who the token was issued to. Clocks may differ by 60 s.

        Raises `UnauthenticatedError` for any token that is not valid now; no message quotes the token.
        """
        claims = self._claims(token, self._key(token))
        if self._revoked(claims["jti"]):
            raise UnauthenticatedError("revoked", "the token was revoked", got=claims["jti"], fix=RENEW)
        return Principal(claims["sub"], claims["role"], claims["jti"], float(claims["exp"]))

    def _key(self, token: str) -> jwt.PyJWK:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise _malformed() from error
        if header.get("alg") != ALGORITHM:
            raise UnauthenticatedError(
                "wrong_algorithm", "the token is signed in another way", got=str(header.get("alg"))[:20],
                allowed=ALGORITHM, fix=RENEW,
            )  # fmt: skip
        kid = header.get("kid")
        found = self._keys.find(kid) if isinstance(kid, str) else None
        if found is None:
            raise UnauthenticatedError(
                "unknown_key", "the token is signed with a key that is not known here",
                fix="get a token of this installation, or publish the key (MASKER_JWKS)",
            )  # fmt: skip
        return jwt.PyJWK.from_dict(dict(found), ALGORITHM)

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key, [ALGORITHM], audience=self._audience, issuer=ISSUER, leeway=SKEW,
                options={"require": REQUIRED},
            )  # fmt: skip
        except jwt.InvalidTokenError as error:
            raise _refused(error) from error
        if not all(isinstance(claims[name], str) for name in ("sub", "role", "jti")):
            raise _malformed()
        return claims


_REFUSALS: dict[type[Exception], tuple[str, str]] = {
    jwt.ExpiredSignatureError: ("expired", "the token has expired"),
    jwt.ImmatureSignatureError: ("not_yet_valid", "the token is not valid yet"),
    jwt.InvalidAudienceError: ("wrong_audience", "the token is for somebody else"),
    jwt.InvalidIssuerError: ("wrong_issuer", "the token was issued by somebody else"),
    jwt.InvalidSignatureError: ("bad_signature", "the token's signature does not fit"),
    jwt.MissingRequiredClaimError: ("missing_claim", "the token lacks a claim"),
}


def _refused(error: jwt.InvalidTokenError) -> UnauthenticatedError:
    found = _REFUSALS.get(type(error))
    return UnauthenticatedError(*found, fix=RENEW) if found else _malformed()


def _malformed() -> UnauthenticatedError:
    return UnauthenticatedError(
        "malformed", "this is not a token", allowed="a JSON Web Token of three parts", fix="send the token unchanged"
    )
