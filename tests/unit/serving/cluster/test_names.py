from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from identity_masker.serving.cluster import names

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


@given(st.text(min_size=1, max_size=64))
def test_any_version_gives_names_and_labels_that_kubernetes_takes(version: str) -> None:
    assert DNS_LABEL.fullmatch(names.of_version("masker", version))
    assert len(names.of_version("a" * 20, version)) <= 58, "the pods' names add eleven characters"
    assert all(LABEL_VALUE.fullmatch(value) for value in names.labels("masker", version).values())


@given(st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64))
def test_two_versions_never_share_a_name(one: str, other: str) -> None:
    assert (names.slug(one) == names.slug(other)) == (one == other)


def test_the_registrys_numbers_stay_as_they_are() -> None:
    assert names.of_version("masker", "12") == "masker-v12"


@given(st.text(max_size=100))
def test_any_text_becomes_the_value_of_a_label(text: str) -> None:
    assert LABEL_VALUE.fullmatch(names.value(text))


def test_a_semantic_version_stays_readable_as_a_label() -> None:
    assert names.value("1.2.0") == "1.2.0"
    assert names.value("0.0.0+3f9a") == "0.0.0_3f9a"
