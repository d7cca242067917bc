from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.masking.avatars import AvatarBook

SECRET = "only for this test"


@given(key=st.text(max_size=40))
def test_a_key_always_gets_the_same_avatar(key: str) -> None:
    index = AvatarBook(5, 16, SECRET).index(key)
    assert 0 <= index < 16
    assert AvatarBook(5, 16, SECRET).index(key) == index


def test_keys_are_spread_over_all_avatars() -> None:
    book = AvatarBook(5, 16, SECRET)
    counts = torch.bincount(torch.tensor([book.index(f"user-{number}") for number in range(1600)]), minlength=16)
    # chi-square with 15 degrees of freedom: 37.7 is its 0.999 quantile
    assert float(((counts - 100) ** 2 / 100).sum()) < 37.7


def test_another_secret_gives_another_choice() -> None:
    keys = [f"user-{number}" for number in range(50)]
    ours, theirs = AvatarBook(5, 64, SECRET), AvatarBook(5, 64, "some other secret")
    assert [ours.index(key) for key in keys] != [theirs.index(key) for key in keys]


def test_equal_keys_share_a_face_and_avatars_differ() -> None:
    book = AvatarBook(5, 64, SECRET)
    first, again = book.numbers(["a", "a"])
    assert torch.equal(first, again)
    everyone = torch.stack([book.numbers([f"user-{number}"])[0] for number in range(200)])
    assert len(torch.unique(everyone, dim=0)) > 50
