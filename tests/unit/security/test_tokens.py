from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError, TemporaryError, UnauthenticatedError
from identity_masker.security.jwks import Published
from identity_masker.security.keys import LEAD, LONGEST_LIFE, SKEW, KeyFolder
from identity_masker.security.tokens import ALGORITHM, AUDIENCE, ISSUER, Verifier, issue

NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


def verifier(tmp_path: Path, **options: Any) -> Verifier:
    return Verifier(Published(str(tmp_path / "keys")), **options)


def refused(found: Verifier, token: str) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        found.verify(token)
    assert len(token) < 20 or token not in str(caught.value)
    return caught.value.reason


def claims(**changes: Any) -> dict[str, Any]:
    import time

    now = int(time.time())
    base = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "role": "client", "jti": "t1", "iat": now, "nbf": now,
        "exp": now + 600,
    }  # fmt: skip
    return {name: value for name, value in (base | changes).items() if value is not None}


def signed(keys: KeyFolder, **changes: Any) -> str:
    key = keys.signing()
    return jwt.encode(claims(**changes), key.private, ALGORITHM, headers={"kid": key.kid})


def test_a_token_tells_who_it_was_issued_to(tmp_path: Path, keys: KeyFolder) -> None:
    issued = issue(keys, "ada", "operator", seconds=3600)
    found = verifier(tmp_path).verify(issued.token)
    assert (found.subject, found.role, found.token_id) == ("ada", "operator", issued.principal.token_id)
    assert abs(found.expires_at - issued.principal.expires_at) < 1.0


@pytest.mark.parametrize("seconds", [0.0, -1.0, LONGEST_LIFE + 1, float("inf"), float("nan")])
def test_a_life_out_of_range_is_refused(keys: KeyFolder, seconds: float) -> None:
    with pytest.raises(BadInputError, match="live so long"):
        issue(keys, "ada", "client", seconds=seconds)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": int(NOW / 10)}, "expired"),
        ({"nbf": int(NOW * 2)}, "not_yet_valid"),
        ({"aud": "somebody-else"}, "wrong_audience"),
        ({"iss": "somebody-else"}, "wrong_issuer"),
        ({"role": None}, "missing_claim"),
        ({"jti": None}, "missing_claim"),
        ({"exp": None}, "missing_claim"),
        ({"role": ["admin"]}, "malformed"),
    ],
)
def test_a_token_that_is_not_valid_now_is_refused_with_its_reason(
    tmp_path: Path, keys: KeyFolder, changes: dict[str, Any], reason: str
) -> None:
    assert refused(verifier(tmp_path), signed(keys, **changes)) == reason


def test_clocks_may_differ_a_little(tmp_path: Path, keys: KeyFolder) -> None:
    import time

    just_over = int(time.time() - SKEW / 2)
    assert verifier(tmp_path).verify(signed(keys, exp=just_over)).subject == "ada"


def test_no_signature_and_a_shared_secret_are_no_signatures(tmp_path: Path, keys: KeyFolder) -> None:
    kid = keys.signing().kid
    none = jwt.encode(claims(), "", "none", headers={"kid": kid})
    # The public key as the secret of HMAC: the classic confusion of algorithms.
    public = base64.urlsafe_b64decode(keys.signing().public_jwk()["x"] + "==")
    shared = jwt.encode(claims(), public, "HS256", headers={"kid": kid})
    assert refused(verifier(tmp_path), none) == "wrong_algorithm"
    assert refused(verifier(tmp_path), shared) == "wrong_algorithm"


def test_a_foreign_key_is_refused_whatever_it_calls_itself(tmp_path: Path, keys: KeyFolder) -> None:
    foreign = Ed25519PrivateKey.generate()
    for kid, reason in ((keys.signing().kid, "bad_signature"), ("foreign", "unknown_key")):
        token = jwt.encode(claims(), foreign, ALGORITHM, headers={"kid": kid})
        assert refused(verifier(tmp_path), token) == reason
    assert refused(verifier(tmp_path), jwt.encode(claims(), foreign, ALGORITHM)) == "unknown_key"


def test_a_revoked_token_is_refused(tmp_path: Path, keys: KeyFolder) -> None:
    issued = issue(keys, "ada", "client", seconds=60)
    found = verifier(tmp_path, revoked=lambda token_id: token_id == issued.principal.token_id)
    assert refused(found, issued.token) == "revoked"


@given(st.text(max_size=200))
def test_anything_else_is_no_token(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    KeyFolder(folder / "keys").signing()
    assert refused(verifier(folder), text) in ("malformed", "wrong_algorithm")


@given(position=st.integers(0, 10_000), bit=st.integers(0, 5))
def test_a_token_with_one_changed_character_is_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "changed"
    keys = KeyFolder(folder / "keys")
    token = issue(keys, "ada", "admin", seconds=600).token
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = position % len(token)
    if token[at] == ".":
        return
    other = letters[letters.index(token[at]) ^ (1 << bit)]
    changed = token[:at] + other + token[at + 1 :]
    # The last character of the signature carries bits that mean nothing.
    if at == len(token) - 1:
        return
    refused(verifier(folder), changed)


def test_a_new_key_is_published_before_it_signs_and_the_old_one_stays(tmp_path: Path) -> None:
    clock = Clock()
    keys = KeyFolder(tmp_path / "keys", clock=clock)
    first = keys.signing()
    clock.now += LEAD
    second, removed = keys.rotate()
    assert removed == []
    assert {key["kid"] for key in keys.jwks()["keys"]} == {first.kid, second.kid}
    assert keys.signing().kid == first.kid
    with pytest.raises(BadInputError, match="on its way already"):
        keys.rotate()
    clock.now += LEAD
    assert keys.signing().kid == second.kid
    clock.now += LONGEST_LIFE + SKEW + 1
    assert keys.rotate()[1] == [first.kid]


def test_tokens_of_both_keys_are_valid_during_a_rotation(tmp_path: Path, keys: KeyFolder) -> None:
    found, old = verifier(tmp_path), issue(keys, "ada", "client", seconds=60).token
    assert found.verify(old).subject == "ada"
    before = keys.signing()
    after, _ = keys.rotate()
    late = jwt.encode(claims(), after.private, ALGORITHM, headers={"kid": after.kid})
    fresh = verifier(tmp_path)
    assert (fresh.verify(old).subject, fresh.verify(late).subject) == ("ada", "ada")
    assert before.kid != after.kid


def test_keys_are_read_by_their_owner_alone(tmp_path: Path, keys: KeyFolder) -> None:
    keys.signing()
    (path,) = (tmp_path / "keys").glob("*.key.json")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_the_published_set_holds_no_private_part(keys: KeyFolder) -> None:
    keys.signing()
    assert all(set(key) == {"kty", "crv", "x", "kid", "use", "alg"} for key in keys.jwks()["keys"])


def test_a_broken_key_file_is_named(tmp_path: Path, keys: KeyFolder) -> None:
    keys.signing()
    (tmp_path / "keys" / "bad.key.json").write_text("{}")
    with pytest.raises(BadInputError, match=r"not a signing key; got .*bad\.key\.json"):
        keys.keys()


def test_keys_that_cannot_be_read_any_more_stay_known(tmp_path: Path, keys: KeyFolder) -> None:
    clock, path = Clock(), tmp_path / "jwks.json"
    path.write_text(json.dumps(keys.jwks() if keys.keys() else {"keys": [keys.signing().public_jwk()]}))
    found = Published(str(path), clock=clock)
    kid = keys.signing().kid
    assert found.find(kid)
    path.write_text("{")
    clock.now += 3600
    assert found.find(kid)


def test_a_source_that_was_never_read_is_a_temporary_failure(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text("nonsense")
    with pytest.raises(TemporaryError, match="public keys cannot be read"):
        Published(str(path)).find("k")
