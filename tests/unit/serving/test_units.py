from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from identity_masker.serving.units import unit


@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
def test_a_unit_is_a_keyed_hash(key: str, user: str) -> None:
    assert unit(key, user) == hmac.new(key.encode(), user.encode(), hashlib.sha256).hexdigest()[:32]


def test_another_key_makes_another_unit() -> None:
    assert unit("one key", "alice") != unit("another", "alice")
