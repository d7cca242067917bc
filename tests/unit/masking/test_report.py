from __future__ import annotations

import io
from html.parser import HTMLParser

import numpy as np
from PIL import Image
from tests.unit.masking.evidence_samples import evidence

from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.baselines import BlackBox
from identity_masker.masking.evidence import Power
from identity_masker.masking.report import before_after, html

WEAK = Power(rank1_pixelated=0.1, rank1_identity=0.9, min_rank1_pixelated=0.5, min_rank1_identity=0.8)


class Links(HTMLParser):
    """Gathers what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Links:
    links = Links()
    links.feed(page)
    return links


def test_the_page_loads_nothing_from_elsewhere() -> None:
    links = parsed(html(evidence(), b"picture"))
    assert links.found
    assert all(link.startswith("data:") for link in links.found)


def test_every_attack_and_measure_is_on_the_page() -> None:
    text = parsed(html(evidence(), b"")).text
    for words in ("naive", "strong", "pixelated", "treated", "2.0% [1.0%, 3.0%]", "pose", "landmark error", "40.0 dB"):
        assert words in text


def test_weak_attackers_are_said_to_prove_nothing() -> None:
    assert "proves nothing" in html(evidence(power=WEAK), b"")
    assert "proves nothing" not in html(evidence(), b"")


def test_unmeasured_use_is_said_to_be_unmeasured() -> None:
    assert "Not measured" in html(evidence(utility=None, background_psnr=None), b"")


def test_the_picture_has_people_above_and_their_masks_below() -> None:
    images = np.full((6, 64, 64, 3), 200, np.uint8)
    faces = FaceSet(images, np.array(["a", "a", "b", "b", "c", "c"]))
    picture = np.asarray(Image.open(io.BytesIO(before_after(BlackBox(), faces))))
    half = picture.shape[0] // 2
    assert picture.shape[1] == 3 * half
    assert (picture[:half] == 200).all()
    assert not picture[half:].any()
