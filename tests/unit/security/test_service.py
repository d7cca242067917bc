from __future__ import annotations

import time
from pathlib import Path

from identity_masker.security.jwks import Published
from identity_masker.security.keys import KeyFolder
from identity_masker.security.service import LIFE_SECONDS, ServiceToken
from identity_masker.security.tokens import Verifier


def test_a_service_makes_its_token_and_renews_it_in_good_time(tmp_path: Path) -> None:
    began = time.time()
    now = [began]
    service = ServiceToken("gateway", KeyFolder(tmp_path), None, clock=lambda: now[0])
    first = service()
    assert first is not None
    principal = Verifier(Published(str(tmp_path))).verify(first)
    assert (principal.subject, principal.role) == ("gateway", "service")
    now[0] += LIFE_SECONDS / 2 - 1
    assert service() == first
    now[0] += 2
    second = service()
    assert second not in (None, first)
    assert principal.expires_at > now[0]


def test_a_machine_without_keys_shows_what_it_was_given() -> None:
    assert ServiceToken("fleet", None, "given")() == "given"
    assert ServiceToken("fleet", None, None)() is None
