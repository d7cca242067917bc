from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.unit.serving.support import noise

from identity_masker.serving import pictures
from identity_masker.serving.problem import HttpError


@pytest.mark.parametrize(
    ("accept", "same", "expected"),
    [
        (None, "JPEG", "JPEG"),
        ("", "WEBP", "WEBP"),
        ("*/*", "WEBP", "WEBP"),
        ("image/*", "JPEG", "JPEG"),
        ("image/jpeg", "PNG", "JPEG"),
        ("image/webp;q=0.5, image/png;q=0.4", "PNG", "WEBP"),
        ("image/avif,image/webp,*/*;q=0.8", "JPEG", "WEBP"),
        ("image/png, */*", "JPEG", "PNG"),
        ("image/png;q=0, */*", "PNG", "JPEG"),
        ("text/html", "JPEG", "PNG"),
        ("image/jpg", "PNG", "JPEG"),
        ("image/png;q=nonsense, image/webp;q=0.1", "PNG", "WEBP"),
    ],
)
def test_the_answers_format_follows_accept(accept: str | None, same: str, expected: str) -> None:
    assert pictures.negotiate(accept, same) == expected


@given(st.text(max_size=80), st.sampled_from(sorted(pictures.MEDIA_TYPES)))
def test_any_accept_header_gets_a_format(accept: str, same: str) -> None:
    assert pictures.negotiate(accept, same) in pictures.MEDIA_TYPES


@pytest.mark.parametrize("header", ["image/png", "IMAGE/JPEG", "image/jpg", "image/webp; charset=binary"])
def test_content_types_of_pictures_pass(header: str) -> None:
    pictures.check_content_type(header)


@pytest.mark.parametrize("header", [None, "", "image/gif", "application/json", "multipart/form-data; boundary=x"])
def test_other_content_types_are_415_and_name_what_is_read(header: str | None) -> None:
    with pytest.raises(HttpError) as caught:
        pictures.check_content_type(header)
    assert caught.value.status == 415
    assert caught.value.headers["accept"] == "image/png, image/jpeg, image/webp"


@pytest.mark.parametrize("name", sorted(pictures.MEDIA_TYPES))
def test_encoded_pictures_are_of_the_format_and_have_no_metadata(name: str) -> None:
    before = noise(48)
    with Image.open(io.BytesIO(pictures.encode(before, name))) as image:
        assert image.format == name
        assert not image.getexif()
        after = np.asarray(image.convert("RGB"))
    if name == "PNG":
        assert np.array_equal(after, before)
    assert after.shape == before.shape
